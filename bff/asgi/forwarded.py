"""Whether a request may have reached an upstream: noted in the scope just before its first byte is sent there.

Every error of the BFF says so in the header `X-BFF-Forwarded`, so that a client knows when it may repeat a request that
is not safe: after `no`, never after `maybe`. No upstream can set that header (`bff.config.response_headers`).
"""

from collections.abc import Mapping, MutableMapping
from typing import Any, Final

HEADER: Final = b"x-bff-forwarded"
_FORWARDED: Final = "bff.forwarded"
# Scope key: the scope of the request on behalf of which the host's own code sends this one.
ON_BEHALF_OF: Final = "bff.on_behalf_of"
# For a request of which the application has begun, where its scope is out of reach.
UNKNOWN: Final[Mapping[str, Any]] = {_FORWARDED: True}


def note_forwarded(scope: MutableMapping[str, Any]) -> None:
    """To be called before the first byte is sent: from then on the outcome may be unknown."""
    scope[_FORWARDED] = True
    if (asked := scope.get(ON_BEHALF_OF)) is not None:
        asked[_FORWARDED] = True


def forwarded_field(scope: Mapping[str, Any]) -> tuple[bytes, bytes]:
    """The header of an error response to this request."""
    return HEADER, b"maybe" if _FORWARDED in scope else b"no"
