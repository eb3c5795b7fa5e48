"""Files of labels, written and read in a line."""

import json

import pytest

from mmseg_weakclip.datasets.labels.content import ReadOptions
from mmseg_weakclip.datasets.labels.formats import read_label_file
from mmseg_weakclip.datasets.labels.matching import ImageFinder


@pytest.fixture
def put(tmp_path):
    """Write a file below the test's folder: text, bytes, or JSON."""

    def put(name, content):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if not isinstance(content, (str, bytes)):
            content = json.dumps(content, ensure_ascii=False)
        if isinstance(content, str):
            content = content.encode()
        path.write_bytes(content)
        return path

    return put


@pytest.fixture
def read():
    """Read labels of an unknown format; ``images`` are there."""

    def read(path, images=None, **options):
        if images is not None:
            options['finder'] = ImageFinder(images)
        return read_label_file(path, ReadOptions(**options))

    return read


@pytest.fixture
def refused(read):
    """Return the message of a refusal, which must be one line."""

    def refused(path, **options):
        with pytest.raises(ValueError) as error:
            read(path, **options)
        message = str(error.value)
        assert '\n' not in message
        assert str(path) in message
        return message

    return refused
