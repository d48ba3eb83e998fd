"""WebSockets to an upstream and back (RFC 6455): the handshake carries the access token, then messages are relayed in
both directions. Each side has its own connection: masking, pings and fragments are not forwarded. Compression is off,
because compressing secrets next to attacker-chosen text leaks them through the length.
"""

import asyncio
import re
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from websockets.exceptions import InvalidHandshake, InvalidStatus
from websockets.http11 import Response
from websockets.typing import Subprotocol
from websockets.uri import WebSocketURI

from bff.asgi.forwarded import note_forwarded
from bff.config.routes import Route
from bff.errors import InvalidRequest, UpstreamTimeout, UpstreamUnreachable
from bff.http1.response_parser import Header
from bff.proxy.assertion_header import assertion_field
from bff.proxy.client_address import TrustedProxies
from bff.proxy.credentials import UpstreamCredentials
from bff.proxy.dpop import DpopProofs
from bff.proxy.exchange import OnLongLived
from bff.proxy.headers import PublicOrigin, request_headers, response_headers
from bff.proxy.http import require_step_up
from bff.proxy.request_body import Receive, Scope, Send
from bff.proxy.upstream_socket import UpstreamFrames, UpstreamSocket
from bff.proxy.websocket_relay import Relay
from bff.telemetry import metrics, tracing

_SUBPROTOCOL: Final = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")


@dataclass(frozen=True, slots=True)
class HandshakeRefused:
    """The upstream's own refusal, filtered for the browser."""

    status: int
    headers: list[Header]
    body: bytes


class WebSocketProxy:
    """One per application."""

    def __init__(self, origin: PublicOrigin, trusted_proxies: TrustedProxies | None = None) -> None:
        self._origin, self._trusted = origin, trusted_proxies or TrustedProxies()
        self._proofs = DpopProofs()
        self._system_trust: ssl.SSLContext | None = None

    async def forward(
        self,
        route: Route,
        scope: Scope,
        receive: Receive,
        send: Send,
        *,
        credentials: UpstreamCredentials | None = None,
        on_long_lived: OnLongLived | None = None,
    ) -> None:
        """Opens the upstream's WebSocket, then the browser's, and returns when both are closed.

        Before the browser's is open it raises InvalidRequest, UpstreamUnreachable, UpstreamTimeout, StepUpRequired, and
        the errors of `renew`. An upstream's own refusal (4xx, 5xx) is forwarded as an HTTP response.
        """
        opened = await self._open(route, scope, credentials)
        status = opened.status if isinstance(opened, HandshakeRefused) else 101
        metrics.PROXY_REQUESTS.labels(route.prefix, f"{status // 100}xx").inc()
        if isinstance(opened, HandshakeRefused):
            await _refuse(opened, send)
            return
        relay = Relay(opened, scope, receive, send, limit=route.message_limit)
        release = on_long_lived(relay.interrupt, True) if on_long_lived is not None else None
        accepted = self._accepted(opened, route)
        opened.forget_handshake()
        try:
            await relay.run(accepted)
        finally:
            if release is not None:
                release()

    async def _open(
        self, route: Route, scope: Scope, credentials: UpstreamCredentials | None
    ) -> UpstreamSocket | HandshakeRefused:
        nonce_retried = renewed = False
        while True:
            try:
                with tracing.span(f"GET {route.prefix}", "client"):
                    return await self._handshake(route, scope, credentials)
            except InvalidStatus as refused:
                response = refused.response
                fields = response.headers.raw_items()
                headers = [(name.lower().encode("ascii"), value.encode("latin-1")) for name, value in fields]
                status = response.status_code
                dpop_bound = credentials is not None and credentials.dpop_bound
                requires_nonce = dpop_bound and self._proofs.requires_nonce(route, status, headers)
                if status == 401 and credentials is not None:
                    require_step_up(headers)
                    if requires_nonce and not nonce_retried:
                        nonce_retried = True
                        continue
                    if not renewed and route.sends_access_token:
                        renewed = True
                        if await credentials.renew():
                            continue
                if not 400 <= status < 600:
                    raise UpstreamUnreachable("The API does not support WebSockets here.") from None
                return self._refusal(response, headers, route, authenticated=credentials is not None)

    async def _handshake(self, route: Route, scope: Scope, credentials: UpstreamCredentials | None) -> UpstreamSocket:
        """Raises InvalidStatus for a status other than 101.

        Redirects are not followed, because they would carry the token elsewhere.
        """
        upstream, target = route.server, route.target(scope["raw_path"], scope["query_string"]).decode("ascii")
        path, _, query = target.partition("?")
        secure = upstream.scheme == "https"
        uri = WebSocketURI(secure, upstream.address, upstream.port, path, query)
        protocol = UpstreamFrames(uri, subprotocols=_subprotocols(scope), max_size=route.message_limit)
        peer = scope["client"][0] if scope.get("client") else None
        # The handshake is a GET of the http or https URL.
        proof = self._proofs.proof(credentials, route, "GET", target.encode("ascii"))
        headers = request_headers(
            scope["headers"],
            route=route,
            origin=self._origin,
            client_address=self._trusted.client_address(peer, scope["headers"]),
            token=credentials.access_token if credentials is not None and route.sends_access_token else None,
            trace=tracing.upstream_headers(),
            proof=proof,
            assertion=assertion_field(route, credentials),
            claim_of=credentials.claim if credentials is not None else None,
        )
        # The protocol writes Host itself, from the configured upstream.
        fields = [(name.decode("ascii"), value.decode("latin-1")) for name, value in headers if name != b"host"]
        loop = asyncio.get_running_loop()
        connection: UpstreamSocket | None = None
        try:
            async with asyncio.timeout(route.connect_timeout):
                _, connection = await loop.create_connection(
                    lambda: UpstreamSocket(protocol),
                    upstream.address,
                    upstream.port,
                    ssl=self._trust(route) if secure else None,
                )
            note_forwarded(scope)
            async with asyncio.timeout(route.timeout):
                await connection.handshake(fields, None)
        except BaseException as error:
            if connection is not None:
                connection.transport.abort()
            if isinstance(error, TimeoutError):
                raise UpstreamTimeout from None
            if isinstance(error, InvalidStatus):
                raise
            if isinstance(error, OSError | EOFError | InvalidHandshake):
                raise UpstreamUnreachable from None
            raise
        connection.start_keepalive()
        return connection

    def _trust(self, route: Route) -> ssl.SSLContext:
        if route.tls is not None:
            return route.tls
        if self._system_trust is None:
            self._system_trust = ssl.create_default_context()
        return self._system_trust

    def _refusal(
        self, response: Response, headers: list[Header], route: Route, *, authenticated: bool
    ) -> HandshakeRefused:
        kept = response_headers(
            response.status_code, headers, route=route, origin=self._origin, authenticated=authenticated
        )
        # The body is already de-chunked; our server writes its length.
        kept = [(name, value) for name, value in kept if name != b"content-length"]
        return HandshakeRefused(response.status_code, kept, bytes(response.body or b""))

    def _accepted(self, connection: UpstreamSocket, route: Route) -> Sequence[Header]:
        """Of the upstream's 101 only listed cookies are forwarded."""
        if connection.response is None or not route.allow_cookies:
            return ()
        set_cookie_values = connection.response.headers.get_all("Set-Cookie")
        fields = [(b"set-cookie", value.encode("latin-1")) for value in set_cookie_values]
        kept = response_headers(200, fields, route=route, origin=self._origin, authenticated=False)
        return [(name, value) for name, value in kept if name == b"set-cookie"]


async def _refuse(refused: HandshakeRefused, send: Send) -> None:
    await send({"type": "websocket.http.response.start", "status": refused.status, "headers": refused.headers})
    await send({"type": "websocket.http.response.body", "body": refused.body})


def _subprotocols(scope: Scope) -> list[Subprotocol] | None:
    offered: list[str] = scope.get("subprotocols") or []
    if not all(_SUBPROTOCOL.fullmatch(name) for name in offered) or len(set(offered)) < len(offered):
        raise InvalidRequest("The subprotocols are malformed.")
    return [Subprotocol(name) for name in offered] or None
