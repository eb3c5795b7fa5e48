"""Quick answer whether a download can work at all.

Hubs try for up to a minute before they say that there is no network.
"""

import socket
import urllib.request
from urllib.parse import urlparse

SECONDS = 4.0
PORTS = {'http': 80, 'https': 443}


def require_host(url: str, seconds: float = SECONDS) -> None:
    """Check that the host of a URL, or the proxy before it, can be reached.

    Args:
        url: Address of a download.
        seconds: Longest time to wait, in seconds.

    Raises:
        ConnectionError: It cannot.
    """
    address = urlparse(url)
    host = address.hostname or ''
    proxy = urllib.request.getproxies().get(address.scheme)
    if proxy and not urllib.request.proxy_bypass(host):
        address = urlparse(proxy if '://' in proxy else f'http://{proxy}')
        host = address.hostname or ''
    port = address.port or PORTS.get(address.scheme, 443)
    try:
        socket.create_connection((host, port), timeout=seconds).close()
    except OSError as error:
        raise ConnectionError(
            f'{host} cannot be reached ({str(error).strip() or "no answer"})'
        ) from error
