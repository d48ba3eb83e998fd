"""What a person is told of their own browsers: a coarse name and a coarse place, enough to recognise one's own.

Nothing here identifies a browser: a family, an operating system, and the network that an address lies in.
"""

from collections.abc import Iterable
from ipaddress import ip_address, ip_network
from typing import Final

from bff.web.cookies import Header

# The first word that a User-Agent holds decides: the later ones stand in the earlier ones' texts too.
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
USER_AGENT_LIMIT: Final = 1024  # bytes that are looked at


def client_hint(headers: Iterable[Header]) -> str | None:
    """Like "Firefox on Windows"; None where the User-Agent tells neither."""
    agent = next((value for name, value in headers if name == b"user-agent"), b"")[:USER_AGENT_LIMIT]
    browser = next((product for word, product in _BROWSERS if word in agent), None)
    system = next((product for word, product in _SYSTEMS if word in agent), None)
    if browser and system:
        return f"{browser} on {system}"
    return browser or system


def coarse_network(address: str) -> str | None:
    """The /24 (IPv4) or /48 (IPv6) that an address lies in; None for what is no address."""
    try:
        parsed = ip_address(address)
    except ValueError:
        return None
    if parsed.version == 6 and parsed.ipv4_mapped is not None:
        parsed = parsed.ipv4_mapped
    # `packed` leaves out the name of an interface that a link-local address may carry.
    return str(ip_network((parsed.packed, 24 if parsed.version == 4 else 48), strict=False))
