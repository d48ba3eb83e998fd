"""Another server than `bff serve` in front of the application: what it leaves open is decided here where possible.

Our server marks the scope (`bff.asgi.extensions.HEADERS_FINAL`). Without the mark a request may have been framed by
rules that another server in front does not share. docs/fastapi.md has a table of what does not hold then.
"""

import logging
from typing import Final
from urllib.parse import quote

from starlette.types import Message, Scope, Send

from bff.config.browser import is_reserved
from bff.errors import BffError, InvalidRequest, LengthRequired

logger = logging.getLogger(__name__)

_IN_PATHS: Final = "/:@!$&'()*+,;=~"


class ForeignServer:
    """One per application: it warns once."""

    def __init__(self, callback_path: str | None = None) -> None:
        """`callback_path`: whose query has the authorization code; None on a port without a callback."""
        self._callback_path, self._warned = callback_path, False

    def adapted(self, scope: Scope) -> Scope:
        """A copy of the scope that nothing of the server changes any more, and that has a raw path.

        The server's own scope loses the query of our endpoints: access logs are written from it after the response
        begins, and would contain authorization codes.
        """
        if not self._warned:
            self._warned = True
            advice = "serve it with `bff serve --app`; `bff docs fastapi` has a table of what does not hold"
            logger.warning("the server is not `bff serve`", extra={"advice": advice})
        copy = {**scope, "headers": list(scope["headers"])}
        if not copy.get("raw_path"):
            copy["raw_path"] = quote(scope["path"], safe=_IN_PATHS).encode("ascii")
        if scope["type"] == "http" and (scope["path"] == self._callback_path or is_reserved(scope["path"])):
            scope["query_string"] = b""
        return copy


def refusal(scope: Scope) -> BffError | None:
    """Why a request is refused whose end the server may have decided otherwise than a proxy in front of it, or None.

    A chunked body may have trailers that the server has added to the headers. Behind a request for another protocol
    uvicorn with httptools parses the body as the next request (RFC 9110 section 7.8).
    """
    names = {name for name, _ in scope["headers"]}
    if b"upgrade" in names and scope["type"] == "http" and names & {b"content-length", b"transfer-encoding"}:
        return InvalidRequest("A request for another protocol states the length of a body.")
    return LengthRequired() if b"transfer-encoding" in names else None


def is_last(scope: Scope) -> bool:
    """Whether nothing may follow the request on its connection: it asked for another protocol, which is ignored."""
    return scope["type"] == "http" and any(name == b"upgrade" for name, _ in scope["headers"])


def with_close(send: Send) -> Send:
    """Closes the connection after the response."""

    async def send_and_close(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = [field for field in message.get("headers", ()) if field[0].lower() != b"connection"]
            message = {**message, "headers": [*headers, (b"connection", b"close")]}
        await send(message)

    return send_and_close
