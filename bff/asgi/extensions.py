"""What ASGI has no word for: ending a client's connection without an answer, that a body follows at once, and how large
a WebSocket message may be.

Our server protocols (`bff.server.uvicorn_0_54.http_protocol`) put the first and the last into the scope. Under another
server the caller has to raise, and that server ends the connection with an error in its log. The second is a hint;
others pass it over. Without the last, a message is measured once it is whole.
"""

from collections.abc import Mapping
from typing import Any, Final

# In the scope of a request whose headers are what came before the body, and nothing else.
HEADERS_FINAL: Final = "bff.headers_final"
CLOSE_CONNECTION: Final = "bff.close_connection"
# In the message that begins an answer whose body is sent next, with no wait between: nobody needs the head sooner.
BODY_FOLLOWS: Final = "bff.body_follows"
LIMIT_MESSAGES: Final = "bff.limit_messages"


def close_connection(scope: Mapping[str, Any], *, at_once: bool) -> bool:
    """True if the connection is ending now: what was written still goes out, unless it is to end `at_once`."""
    end = scope.get(CLOSE_CONNECTION)
    if end is None:
        return False
    end(at_once)
    return True


def limit_messages(scope: Mapping[str, Any], limit: int) -> None:
    """Has the server refuse (1009) a message that goes over the limit, in bytes, while it is still being received."""
    set_limit = scope.get(LIMIT_MESSAGES)
    if set_limit is not None:
        set_limit(limit)
