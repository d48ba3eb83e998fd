"""Three extensions of ASGI: closing a client's connection without a response, announcing that a body follows at once,
and limiting the size of a WebSocket message. Our server protocols (`bff.server`) put the first and the
last into the scope. Under another server the caller has to raise, and that server closes the connection with an error
in its log. The second is a hint that other servers ignore. Without the last, a message is measured once it is complete.
"""

from collections.abc import Mapping
from typing import Any, Final

# Scope key: the headers are those received before the body, without trailers.
HEADERS_FINAL: Final = "bff.headers_final"
CLOSE_CONNECTION: Final = "bff.close_connection"
# Message key: the body follows at once, so the head need not be sent separately.
BODY_FOLLOWS: Final = "bff.body_follows"
LIMIT_MESSAGES: Final = "bff.limit_messages"


def close_connection(scope: Mapping[str, Any], *, at_once: bool) -> bool:
    """True if the connection will be closed: buffered data is still sent, unless `at_once`."""
    end = scope.get(CLOSE_CONNECTION)
    if end is None:
        return False
    end(at_once)
    return True


def limit_messages(scope: Mapping[str, Any], limit: int) -> None:
    """Makes the server reject (1009) a message that exceeds the limit, in bytes, while it is being received."""
    set_limit = scope.get(LIMIT_MESSAGES)
    if set_limit is not None:
        set_limit(limit)
