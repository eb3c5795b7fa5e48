"""tools/dist_*.sh: what they hand to torchrun."""

import os
import subprocess

import pytest


@pytest.fixture
def call(repo, tmp_path):
    """Run a script in front of a torchrun that only shows its arguments."""
    fake = tmp_path / 'torchrun'
    fake.write_text('#!/bin/sh\necho "$@"\n')
    fake.chmod(0o755)

    def run(script, *arguments):
        done = subprocess.run(
            [repo / 'tools' / script, *arguments],
            env={**os.environ, 'PATH': f'{tmp_path}:{os.environ["PATH"]}'},
            capture_output=True,
            text=True,
            check=True,
        )
        options, _, rest = done.stdout.partition('.py ')
        return options, rest.split()

    return run


@pytest.mark.parametrize(
    ('script', 'arguments', 'expected'),
    [
        ('dist_train.sh', ('c.py', '4', '--amp'), ['c.py', '--amp']),
        ('dist_test.sh', ('c.py', 'a.pth', '4'), ['c.py', 'a.pth']),
        ('dist_test.sh', ('c.py', '4', '--tta'), ['c.py', '--tta']),
    ],
)
def test_arguments(call, script, arguments, expected):
    options, rest = call(script, *arguments)
    assert '--nproc-per-node=4' in options
    assert rest == [*expected, '--launcher', 'pytorch']
