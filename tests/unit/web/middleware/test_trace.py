"""Whose trace a request continues, its server span, and the client's address of the audit trail."""

from typing import Any

import pytest
from starlette.types import Receive, Scope, Send

from bff.proxy.client_address import TrustedProxies
from bff.telemetry import audit, tracing
from bff.telemetry.application import ApplicationTelemetry
from bff.telemetry.tracing import TraceContext
from bff.web.error_responder import ErrorResponder
from bff.web.middleware.request_guard import RequestGuard
from bff.web.middleware.trace import METHODS, AuditContext, TraceMiddleware
from tests.harness.asgi_call import Reached, call, http_scope, run, websocket_scope

PROXY, STRANGER = "10.0.0.1", "192.0.2.1"
TRUSTED = TrustedProxies([PROXY])
TRACE = "0af7651916cd43dd8448eb211c80319c"
INCOMING = (f"traceparent: 00-{TRACE}-b7ad6b7169203331-00", "tracestate: a=b", "baggage: c=d")


class RecordedSpan:
    def __init__(self, name: str, parent: TraceContext | None) -> None:
        self.name, self.parent, self.ended = name, parent, False
        self.context = TraceContext(TRACE if parent else "1" * 32, "2" * 16, "")
        self.attributes: dict[str, Any] = {}
        self.failure: str | None = None

    def set(self, attribute: str, value: str | int | bool) -> None:
        self.attributes[attribute] = value

    def fail(self, error_type: str) -> None:
        self.failure = error_type

    def end(self) -> None:
        self.ended = True


class MemoryTracer:
    """Implements `bff.telemetry.tracing.Tracer`."""

    def __init__(self) -> None:
        self.spans: list[RecordedSpan] = []

    def start(self, name: str, kind: str, parent: TraceContext | None) -> RecordedSpan:
        assert kind == "server"
        self.spans.append(RecordedSpan(name, parent))
        return self.spans[-1]

    def stop(self) -> None: ...


class Seen:
    """The application behind the middleware: which trace it runs in."""

    def __init__(self, status: int = 200) -> None:
        self.context: TraceContext | None = None
        self._reached = Reached(status)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.context = tracing.current()
        await self._reached(scope, receive, send)


@pytest.mark.parametrize(("client", "continued"), [(PROXY, True), (STRANGER, False), (None, False)])
@pytest.mark.parametrize("websocket", [False, True])
async def test_only_a_trusted_proxy_continues_a_trace(client: str | None, continued: bool, websocket: bool) -> None:
    seen = Seen()
    more: dict[str, Any] = {"client": client}
    scope = websocket_scope("/", *INCOMING, **more) if websocket else http_scope("GET", "/", *INCOMING, **more)
    await run(TraceMiddleware(seen, TRUSTED, ApplicationTelemetry()), scope)
    assert seen.context is not None
    assert (seen.context.trace_id == TRACE) is continued
    assert (seen.context.state, seen.context.baggage) == ((b"a=b", b"c=d") if continued else (b"", b""))
    assert seen.context.flags == (0 if continued else 1), "a stranger decides nothing about sampling"
    assert seen.context.span_id != "b7ad6b7169203331"


@pytest.mark.parametrize(
    ("method", "status", "name", "failure"),
    [
        *((method, 200, method, None) for method in sorted(METHODS)),
        ("get", 405, "_OTHER", None),
        ("BREW", 499, "_OTHER", None),
        ("GET", 500, "GET", "500"),
        ("POST", 503, "POST", "503"),
        (None, 101, "GET", None),
    ],
)
async def test_a_server_span_has_method_and_status(
    method: str | None, status: int, name: str, failure: str | None
) -> None:
    tracer, seen = MemoryTracer(), Seen(status)
    middleware = TraceMiddleware(seen, TRUSTED, ApplicationTelemetry(tracer=tracer))
    lines: dict[str, Any] = {"client": PROXY}
    scope = websocket_scope("/", *INCOMING, **lines) if method is None else http_scope(method, "/", *INCOMING, **lines)
    assert (await run(middleware, scope)).status == status
    [span] = tracer.spans
    assert (span.name, span.failure, span.ended) == (name, failure, True)
    assert span.attributes == {"http.request.method": name, "http.response.status_code": status}
    assert span.parent is not None
    assert span.parent.trace_id == TRACE
    assert seen.context is not None
    assert seen.context.correlation_id == span.context.span_id


async def test_the_lifespan_has_no_span() -> None:
    tracer, reached = MemoryTracer(), Reached()
    await run(TraceMiddleware(reached, TRUSTED, ApplicationTelemetry(tracer=tracer)), {"type": "lifespan"})
    assert (reached.scopes, tracer.spans) == ([{"type": "lifespan"}], [])


async def test_an_exception_marks_the_span_as_failed() -> None:
    async def fails(scope: Scope, receive: Receive, send: Send) -> None:
        raise RuntimeError

    tracer = MemoryTracer()
    with pytest.raises(RuntimeError):
        await call(TraceMiddleware(fails, TRUSTED, ApplicationTelemetry(tracer=tracer)), "GET", "/")
    assert (tracer.spans[0].failure, tracer.spans[0].ended) == ("RuntimeError", True)


async def test_the_telemetry_of_the_application_is_bound() -> None:
    formats: list[str] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        formats.append(audit._SUBJECT_FORMAT.get())

    await call(TraceMiddleware(app, TRUSTED, ApplicationTelemetry(audit_subject="sub")), "GET", "/")
    assert formats == ["sub"]


@pytest.mark.parametrize(("peer", "address"), [(PROXY, "198.51.100.7"), (STRANGER, STRANGER), (None, "unknown")])
async def test_the_audit_trail_names_the_client(peer: str | None, address: str) -> None:
    addresses: list[str] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        bound = audit._CLIENT.get()
        assert bound is not None
        addresses.append(bound())

    await call(AuditContext(app, TRUSTED), "GET", "/", "x-forwarded-for: 198.51.100.7", client=peer)
    assert addresses == [address]


async def test_a_refused_handshake_and_a_strangers_request_are_recorded_too() -> None:
    tracer = MemoryTracer()
    guard = RequestGuard(Reached(), ErrorResponder())
    middleware = TraceMiddleware(guard, TRUSTED, ApplicationTelemetry(tracer=tracer))
    await run(middleware, websocket_scope("/api/..", *INCOMING, client=STRANGER))
    [span] = tracer.spans
    assert (span.parent, span.attributes["http.response.status_code"]) == (None, 400)
