"""What users are shown about their own browsers: a coarse browser name and network, enough to recognise them.

Nothing here identifies a browser: a family, an operating system, and the network of the address.
"""

from collections.abc import Iterable
from ipaddress import ip_address, ip_network
from typing import Final

from bff.web.cookies import Header

# The first match decides: the later tokens also occur in the earlier browsers' User-Agent.
_BROWSERS: Final = (
    (b"Edg", "Edge"),
    (b"OPR/", "Opera"),
    (b"SamsungBrowser/", "Samsung Internet"),
    (b"Firefox/", "Firefox"),
    (b"FxiOS/", "Firefox"),
    (b"CriOS/", "Chrome"),
    (b"Chrome/", "Chrome"),
    (b"Safari/", "Safari"),
)
_SYSTEMS: Final = (
    (b"iPhone", "iOS"),
    (b"iPad", "iPadOS"),
    (b"Android", "Android"),
    (b"Windows", "Windows"),
    (b"Mac OS X", "macOS"),
    (b"CrOS", "ChromeOS"),
    (b"Linux", "Linux"),
)
USER_AGENT_LIMIT: Final = 1024  # bytes of User-Agent that are parsed


def client_hint(headers: Iterable[Header]) -> str | None:
    """For example "Firefox on Windows"; None when the User-Agent is not recognised."""
    agent = next((value for name, value in headers if name == b"user-agent"), b"")[:USER_AGENT_LIMIT]
    browser = next((product for word, product in _BROWSERS if word in agent), None)
    system = next((product for word, product in _SYSTEMS if word in agent), None)
    if browser and system:
        return f"{browser} on {system}"
    return browser or system


def coarse_network(address: str) -> str | None:
    """The /24 (IPv4) or /48 (IPv6) network of an address; None for anything that is not an address."""
    try:
        parsed = ip_address(address)
    except ValueError:
        return None
    if parsed.version == 6 and parsed.ipv4_mapped is not None:
        parsed = parsed.ipv4_mapped
    # `packed` drops the zone of a link-local address.
    return str(ip_network((parsed.packed, 24 if parsed.version == 4 else 48), strict=False))
