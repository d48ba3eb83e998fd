"""HTTP to an upstream and back, streamed in both directions, with the access token towards the upstream only.

Memory per stream is bounded: reading from one side pauses while the other does not accept data. A request without a
body needs no extra task if its response arrives at once.
"""

import time

from prometheus_client import Counter

from bff.asgi.access import access_of
from bff.asgi.extensions import BODY_FOLLOWS
from bff.asgi.forwarded import note_forwarded
from bff.config.routes import Route
from bff.errors import BffError, SignInRequired, StepUpRequired, UpstreamUnreachable
from bff.http1.connection import ConnectionLost
from bff.http1.response_parser import Header, ResponseHead
from bff.oidc.challenge import read_step_up
from bff.proxy.assertion_header import assertion_field
from bff.proxy.client_address import TrustedProxies
from bff.proxy.credentials import UpstreamCredentials
from bff.proxy.dpop import DpopProofs
from bff.proxy.exchange import SAFE, Exchange, Interrupted, OnLongLived
from bff.proxy.headers import PublicOrigin, request_headers, response_headers
from bff.proxy.own_request import OWN_REQUEST, OwnRequest, received_headers
from bff.proxy.pool import UpstreamPools
from bff.proxy.request_body import ClientDisconnected, Message, Receive, RequestBody, Scope, Send
from bff.session.stream_end import ServerStopping, SessionEnded, StreamEnd
from bff.telemetry import metrics, tracing


class ResponseAborted(Exception):
    """A response that had begun cannot be completed.

    The server must close the client's connection, so that it is not taken for a success. `end` says why the BFF closed
    it; None if the upstream failed.
    """

    def __init__(self, end: StreamEnd | None) -> None:
        super().__init__("closed early" if end else "the upstream's response ended early")
        self.end = end


class HttpProxy:
    """One per application."""

    def __init__(
        self,
        origin: PublicOrigin,
        trusted_proxies: TrustedProxies | None = None,
        pools: UpstreamPools | None = None,
    ) -> None:
        self._origin, self._trusted = origin, trusted_proxies or TrustedProxies()
        self._pools = pools or UpstreamPools()
        self._counters: dict[tuple[str, int], Counter] = {}
        self._proofs = DpopProofs()

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
        """Forwards one request, with the access token of `credentials` or an identity assertion if given.

        A 401 is followed by one renewal of the token, and by one replay if the request is safe and has no body. An
        upstream that requires a DPoP nonce (RFC 9449) gets it in one more replay under the same rule. Before the
        response begins it raises InvalidRequest, RequestTooLarge, UpstreamUnreachable, UpstreamTimeout, StepUpRequired,
        SignInRequired if the session ended meanwhile, and the errors of `renew`; after that, ResponseAborted.
        `on_long_lived` is called for a long-lived exchange.
        """
        status = 0
        try:
            status = await self._forward(route, scope, receive, send, credentials, on_long_lived)
        except ClientDisconnected:
            return
        finally:
            if status:
                self._counter(route.prefix, status // 100).inc()

    async def _forward(
        self,
        route: Route,
        scope: Scope,
        receive: Receive,
        send: Send,
        credentials: UpstreamCredentials | None,
        on_long_lived: OnLongLived | None,
    ) -> int:
        own: OwnRequest | None = scope.get(OWN_REQUEST)
        target = route.target(scope["raw_path"], scope["query_string"]) if own is None else own.target
        body = RequestBody(scope, receive, limit=route.request_limit)
        await body.begin(within=route.read_timeout)
        peer = scope["client"][0] if scope.get("client") else None
        client_address = self._trusted.client_address(peer, scope["headers"])
        pool = self._pools.of(route)
        replayable = scope["method"] in SAFE and not body.present
        fresh = nonce_retried = renewed = False
        access = access_of(scope)
        while True:
            proof = self._proofs.proof(credentials, route, scope["method"], target)
            with tracing.span(f"{scope['method']} {route.prefix}", "client") as span:
                headers = request_headers(
                    scope["headers"],
                    route=route,
                    origin=self._origin,
                    client_address=client_address,
                    token=credentials.access_token if credentials is not None and route.sends_access_token else None,
                    trace=tracing.upstream_headers(),
                    proof=proof,
                    assertion=assertion_field(route, credentials),
                    claim_of=credentials.claim if credentials is not None else None,
                )
                if own is not None:
                    headers = own.beside(headers)
                connection = await pool.acquire(fresh=fresh)
                exchange = Exchange(connection, route, body, on_long_lived)
                try:
                    try:
                        began = None if access is None else time.monotonic()
                        note_forwarded(scope)
                        head = await exchange.begin(scope["method"], target, headers)
                        if access is not None and began is not None:
                            access.upstream = (access.upstream or 0.0) + time.monotonic() - began
                    except ConnectionLost as broke:
                        # An idle connection that the upstream closed as it was reused; the upstream has not seen the
                        # request.
                        if connection.used and not broke.response_begun and replayable and not fresh:
                            fresh = True
                            continue
                        raise UpstreamUnreachable from None
                    except Interrupted as interrupted:
                        raise SignInRequired(reason=_reason(interrupted.end)) from None
                    span.set("http.response.status_code", head.status)
                    requires_nonce = proof is not None and self._proofs.requires_nonce(route, head.status, head.headers)
                    if head.status == 401 and credentials is not None:
                        require_step_up(head.headers)
                        if requires_nonce and not nonce_retried:
                            nonce_retried = True
                            if replayable:
                                continue
                        elif not renewed and route.sends_access_token:  # a renewal makes no other assertion
                            renewed = True
                            if await credentials.renew() and replayable:
                                continue
                    if own is None:
                        fields = response_headers(
                            head.status,
                            head.headers,
                            route=route,
                            origin=self._origin,
                            authenticated=credentials is not None,
                        )
                    else:
                        fields = received_headers(head.headers)
                    await self._answer(exchange, head, fields, send)
                    return head.status
                finally:
                    exchange.end()
                    pool.release(connection)

    async def _answer(self, exchange: Exchange, head: ResponseHead, headers: list[Header], send: Send) -> None:
        connection = exchange.connection
        exchange.response_started(head)
        start: Message = {"type": "http.response.start", "status": head.status, "headers": headers}
        if connection.finishing:
            start[BODY_FOLLOWS] = True
        await send(start)
        more = True
        while more:
            try:
                chunk = await connection.read()
            except Interrupted as interrupted:
                if isinstance(interrupted.end, ServerStopping) and not any(
                    name == b"content-length" for name, _ in headers
                ):
                    # A normal end: the browser's EventSource reconnects without an error.
                    await send({"type": "http.response.body", "body": b"", "more_body": False})
                    return
                raise ResponseAborted(interrupted.end) from None
            except (ConnectionLost, BffError):
                raise ResponseAborted(None) from None
            more = not connection.finished
            await send({"type": "http.response.body", "body": chunk, "more_body": more})

    def _counter(self, prefix: str, status_class: int) -> Counter:
        counter = self._counters.get((prefix, status_class))
        if counter is None:
            counter = self._counters[prefix, status_class] = metrics.PROXY_REQUESTS.labels(prefix, f"{status_class}xx")
        return counter

    def close(self) -> None:
        self._pools.close()


def require_step_up(headers: list[Header]) -> None:
    """Raises StepUpRequired if an upstream's 401 requires another authentication (RFC 9470), which a refresh cannot
    provide.
    """
    challenge = read_step_up(value for name, value in headers if name == b"www-authenticate")
    if challenge is not None:
        raise StepUpRequired(acr_values=challenge.acr_values, max_age=challenge.max_age)


def _reason(end: StreamEnd) -> str | None:
    return end.reason.value if isinstance(end, SessionEnded) and end.reason is not None else None
