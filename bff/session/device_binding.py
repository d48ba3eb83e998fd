"""The key of a browser that a session is bound to (W3C Device Bound Session Credentials, DBSC). Pure.

The browser proves again and again that it has the private key, and gets a short-lived cookie for each proof. Times are
seconds since the epoch.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any, Final

# Requests that a browser sent before it had the cookie are on their way for this long (seconds).
UNDER_WAY: Final = 30.0
# How long a registration may go unused before another key may take its place (seconds): the browser never got the
# answer, or could not use it.
UNUSED: Final = 60.0


@dataclass(frozen=True, slots=True)
class DeviceBinding:
    """`confirmed_at`: when the first request brought the bound cookie; None until then.

    `thumbprint` identifies `public_key`, a JWK (RFC 7638); `alg` is what it signs with.
    """

    public_key: Mapping[str, Any]
    alg: str
    thumbprint: str
    registered_at: float
    confirmed_at: float | None = None


def is_bound(binding: DeviceBinding | None) -> bool:
    """Whether the browser has shown that it uses its key."""
    return binding is not None and binding.confirmed_at is not None


class Binding(Enum):
    """What a session requires of a request without a valid bound cookie."""

    NONE = auto()  # there is no key, or the browser has never shown that it got the cookie
    BEGINNING = auto()  # the request may have left the browser before the cookie arrived
    ESTABLISHED = auto()


def binding_state(binding: DeviceBinding | None, now: float) -> Binding:
    if binding is None or binding.confirmed_at is None:
        return Binding.NONE
    return Binding.BEGINNING if now < binding.confirmed_at + UNDER_WAY else Binding.ESTABLISHED


def may_register(binding: DeviceBinding | None, now: float) -> bool:
    """Whether a browser may register a key: never in the place of one that was used."""
    if binding is None:
        return True
    return binding.confirmed_at is None and now >= binding.registered_at + UNUSED
