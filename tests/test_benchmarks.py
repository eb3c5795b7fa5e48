"""The benchmarks run, at a size that says nothing."""

import os
import subprocess
import sys

import pytest


@pytest.mark.parametrize(
    ('name', 'options', 'rows'),
    [
        ('clims_step', ('--crop', '64', '--batch', '2'), 1),
        ('excel_step', ('--crop', '64', '--batch', '2'), 4),
        (
            'segclip_step',
            ('--model', 'toyclip', '--crop', '64', '--batch', '2'),
            5,
        ),
        ('training_step', ('--crop', '64', '--precisions', 'fp32'), 1),
    ],
)
def test_prints_its_table(repo, name, options, rows):
    done = subprocess.run(
        [sys.executable, str(repo / f'benchmarks/{name}.py'), *options]
        + ['--repeats', '1', '--threads', '1'],
        env={**os.environ, 'PYTHONPATH': str(repo)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    table = [line for line in done.stdout.splitlines() if line[:1] == '|']
    assert len(table) == 2 + rows
    assert len({line.count('|') for line in table}) == 1
