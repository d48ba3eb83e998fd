"""The request guard: refuses every request that two implementations could parse differently.

It checks the raw bytes (`raw_path`, before decoding). A chunked body may carry trailers, which uvicorn appends to the
headers: `HttpProtocol` keeps them apart; under a server without that guarantee a chunked body is refused. One
deliberate choice: a path contains no encoded dot, slash, backslash, control character or semicolon parameter before a
dot segment, however often it is encoded. A server that decodes before it splits and one that decodes after would see
two different paths. Which other spellings are ambiguous depends on the routes: `bff.proxy.routes.RouteTable.match`.
"""

import re
from collections.abc import Sequence
from typing import Final, TypeAlias

from starlette.types import ASGIApp, Receive, Scope, Send

from bff.asgi.extensions import HEADERS_FINAL
from bff.asgi.header_section import facts_of
from bff.config.browser import DEVICE_REFRESH
from bff.errors import BffError, DeviceBindingPending, HeadersTooLarge, InvalidRequest, MethodNotAllowed, TargetTooLong
from bff.proxy.path_normalization import fully_decoded
from bff.web.cookies import CookieNames, Header
from bff.web.error_responder import ErrorResponder
from bff.web.middleware import foreign_server
from bff.web.middleware.foreign_server import ForeignServer

_DEVICE_REFRESH: Final = DEVICE_REFRESH.encode("ascii")
TARGET_LIMIT: Final = 8192  # bytes of path and query
HEADERS_LIMIT: Final = 32768  # bytes of all names and values
HEADER_COUNT: Final = 100

METHODS: Final = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")

Refusal: TypeAlias = InvalidRequest | MethodNotAllowed | TargetTooLong | HeadersTooLarge

# The fast path. Everything else goes through `_check_path`.
_PLAIN_PATH: Final = re.compile(rb"(?:/[A-Za-z0-9_~-][A-Za-z0-9._~:@-]*)*/?")
_VISIBLE: Final = re.compile(rb"[\x21-\x7e]*")
_BAD_PERCENT: Final = re.compile(rb"%(?![0-9A-Fa-f]{2})")
_HOST: Final = re.compile(rb"(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?")
_LENGTH: Final = re.compile(rb"[0-9]{1,18}")
_FRAMING_HEADERS: Final = frozenset({b"host", b"content-length", b"transfer-encoding", b""})
# Allowed characters of names and values: after deleting them from all headers together, nothing may be left (RFC 9110
# section 5).
_IN_NAMES: Final = b"abcdefghijklmnopqrstuvwxyz0123456789!#$%&'*+.^_`|~-"
_IN_VALUES: Final = b"\t" + bytes(range(0x20, 0x7F)) + bytes(range(0x80, 0x100))
_ACCEPTED: Final = object()  # the fact that headers are not refused


def check_request(method: str, raw_path: bytes, query: bytes, headers: Sequence[Header]) -> Refusal | None:
    """The reason to refuse the request, or None. Header names are in lower case (ASGI)."""
    if method not in METHODS:
        return MethodNotAllowed(allow=METHODS)
    if len(raw_path) + len(query) > TARGET_LIMIT:
        return TargetTooLong()
    return check_path(raw_path) or _check_query(query) or _check_headers(headers)


def check_path(path: bytes) -> InvalidRequest | None:
    """Why a path is refused, or None."""
    if _PLAIN_PATH.fullmatch(path) and path:
        return None
    if not path.startswith(b"/") or path.startswith(b"//"):
        return InvalidRequest("The request target is not a path.")
    if not _VISIBLE.fullmatch(path):
        return InvalidRequest("The path holds a byte that is not visible ASCII.")
    if b"\\" in path or b"#" in path or b"?" in path:
        return InvalidRequest("The path holds a character that belongs to no path.")
    if _BAD_PERCENT.search(path):
        return InvalidRequest("The path holds a percent sign without two digits.")
    try:
        text = fully_decoded(path)
    except InvalidRequest as refusal:
        return refusal
    # Compatibility forms too (a fullwidth dot, a two-dot leader): a server that normalises them would see a dot
    # segment.
    for segment in text.split("/"):
        # Some servers strip parameters before they resolve dots: `..;x` is `..` to them. Others strip spaces.
        if segment.partition(";")[0].strip() in (".", ".."):
            return InvalidRequest("The path holds a dot segment.")
    return None


def _check_query(query: bytes) -> Refusal | None:
    # Forwarded byte for byte, so encoded bytes are up to the upstream; raw ones must not end a line.
    if not _VISIBLE.fullmatch(query) or b"#" in query:
        return InvalidRequest("The query holds a byte that belongs to no query.")
    return None


def _check_headers(headers: Sequence[Header]) -> Refusal | None:
    facts = facts_of(headers)
    if facts is None:
        return _refusal_of(headers)
    if _ACCEPTED not in facts:
        if refusal := _refusal_of(headers):
            return refusal
        facts[_ACCEPTED] = True
    return None


def _refusal_of(headers: Sequence[Header]) -> Refusal | None:
    if len(headers) > HEADER_COUNT:
        return HeadersTooLarge()
    names, values = b"".join([name for name, _ in headers]), b"".join([value for _, value in headers])
    if names.translate(None, _IN_NAMES) or values.translate(None, _IN_VALUES):
        return InvalidRequest("A header is malformed.")
    hosts = lengths = codings = 0
    for name, value in [field for field in headers if field[0] in _FRAMING_HEADERS]:
        if name == b"host":
            hosts += 1
            if not _HOST.fullmatch(value):
                return InvalidRequest("The Host is malformed.")
        elif name == b"content-length":
            lengths += 1
            if not _LENGTH.fullmatch(value):
                return InvalidRequest("The Content-Length is malformed.")
        elif name == b"transfer-encoding":
            codings += 1
            if value.lower() != b"chunked":
                return InvalidRequest("The Transfer-Encoding is not chunked.")
        else:  # the name is empty
            return InvalidRequest("A header is malformed.")
    if len(names) + len(values) > HEADERS_LIMIT:
        return HeadersTooLarge()
    if hosts != 1:
        return InvalidRequest("The request needs exactly one Host.")
    if lengths + codings > 1:
        return InvalidRequest("The length of the request is stated more than once.")
    return None


class RequestGuard:
    """ASGI middleware around the whole application; the lifespan passes through."""

    def __init__(
        self,
        app: ASGIApp,
        errors: ErrorResponder,
        *,
        names: CookieNames | None = None,
        foreign: ForeignServer | None = None,
    ) -> None:
        """With `names`, a request with too large headers deletes the browser's login cookies: otherwise every page
        would be refused until they expire. `foreign` adapts what another server than `bff serve` passes on.
        """
        self._app, self._errors, self._names = app, errors, names
        self._foreign = foreign or ForeignServer()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        refusal: BffError | None = None
        if HEADERS_FINAL not in scope:
            scope = self._foreign.adapted(scope)
            refusal = foreign_server.refusal(scope)
            if foreign_server.is_last(scope):
                send = foreign_server.with_close(send)
        refusal = (
            check_request(scope.get("method", "GET"), scope["raw_path"], scope["query_string"], scope["headers"])
            or refusal
        )
        if scope["http_version"] not in ("1.0", "1.1", "2", "3"):
            refusal = InvalidRequest("This version of HTTP is not supported.")
        if refusal is None:
            await self._app(scope, receive, send)
            return
        cleared = (
            self._names.clear_sign_ins(scope["headers"]) if self._names and isinstance(refusal, HeadersTooLarge) else []
        )
        if cleared:
            refusal = HeadersTooLarge("The cookies of sign-ins in progress were deleted; sessions were not. Try again.")
        if scope["raw_path"] == _DEVICE_REFRESH:
            refusal = DeviceBindingPending(refusal.detail, retry_after=1)  # at any 4xx a browser drops its key
        await self._errors.send(refusal, scope, send, close=True, cookies=cleared)
