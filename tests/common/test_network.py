import socket
import time

import pytest

from mmseg_weakclip.common.network import require_host


@pytest.fixture
def server(monkeypatch):
    for name in ('http_proxy', 'https_proxy', 'HTTP_PROXY', 'HTTPS_PROXY'):
        monkeypatch.delenv(name, raising=False)
    with socket.create_server(('127.0.0.1', 0)) as found:
        yield found.getsockname()[1]


def test_a_host_that_answers(server):
    require_host(f'http://127.0.0.1:{server}/file')


def test_a_host_that_does_not(server):
    start = time.monotonic()
    with pytest.raises(ConnectionError, match='nowhere.invalid cannot be'):
        require_host('https://nowhere.invalid/x')
    with pytest.raises(ConnectionError, match=r'127\.0\.0\.1 cannot be'):
        require_host('http://127.0.0.1:9')
    assert time.monotonic() - start < 10


def test_a_proxy_is_asked_instead(server, monkeypatch):
    monkeypatch.setenv('https_proxy', f'http://127.0.0.1:{server}')
    require_host('https://nowhere.invalid/x')
    monkeypatch.setenv('https_proxy', '127.0.0.1:9')
    with pytest.raises(ConnectionError, match=r'127\.0\.0\.1'):
        require_host('https://nowhere.invalid/x')
