"""A request to an upstream that the host's own code makes, instead of one that a browser sent.

It goes the way of a forwarded request: the same connections, token, replay, deadlines and trace. Only the target and
the headers are its own, and its response is for the host's code, not for a browser.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from bff.http1.response_parser import Header

# Scope key: the `OwnRequest`. The scope's headers are those that name the client's address and the length of the body.
OWN_REQUEST: Final = "bff.own_request"

# The connection writes these, and they are not the business of the host's code.
_OF_THE_CONNECTION: Final = frozenset(
    b"""
    host connection keep-alive proxy-connection te trailer transfer-encoding upgrade content-length expect
    """.split()
)
# Set-Cookie: no cookie of an upstream is kept, since the next request may be of another user.
_DROPPED: Final = _OF_THE_CONNECTION - {b"content-length"} | {b"set-cookie"}


@dataclass(frozen=True, slots=True)
class OwnRequest:
    """`target` is a path and query at the upstream. `headers` have names in lower case."""

    target: bytes
    headers: Sequence[Header]

    def beside(self, ours: list[Header]) -> list[Header]:
        """The headers to send: ours, and those of the request that ours do not set."""
        taken = {name for name, _ in ours} | _OF_THE_CONNECTION
        return ours + [field for field in self.headers if field[0] not in taken]


def received_headers(headers: Sequence[Header]) -> list[Header]:
    """The headers of a response as the host's code gets them."""
    return [field for field in headers if field[0] not in _DROPPED]
