"""Tracing: the trace of the current request (W3C Trace Context), and spans.

Every package may open a span. Spans are recorded only in tasks to which a tracer is bound (`bff.telemetry.otlp`, if
BFF_TRACING is set); otherwise a span costs one lookup of a context variable. A span contains no URL, path, header or
error message, only constants and names from the settings.
"""

import os
import re
from collections.abc import Sequence
from contextvars import ContextVar
from types import TracebackType
from typing import Final, Literal, NamedTuple, Protocol, TypeAlias

Header: TypeAlias = tuple[bytes, bytes]
Kind: TypeAlias = Literal["server", "client", "internal"]

SAMPLED: Final = 0x01

# Version 00 and, per section 3.2.4 of the recommendation, the prefix of later versions.
_TRACEPARENT: Final = re.compile(rb"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")
_STATE_KEY: Final = re.compile(rb"[a-z0-9][a-z0-9_*/@-]{0,255}")
_STATE_VALUE: Final = re.compile(rb"[\x20-\x2b\x2d-\x3c\x3e-\x7e]{1,256}")
_STATE_LIMIT: Final = 512  # bytes that must be propagated (section 3.3.1.5); a longer value is dropped as a whole
_STATE_MEMBERS: Final = 32
_BAGGAGE_LIMIT: Final = 8192  # bytes (W3C Baggage, section 3.3.2)


class TraceContext(NamedTuple):
    """Ids in lower-case hex: 32 digits for the trace, 16 for the span and for the request.

    `correlation_id` is the id of the server span: the reference of an error.
    """

    trace_id: str
    span_id: str
    correlation_id: str
    flags: int = SAMPLED
    state: bytes = b""
    baggage: bytes = b""

    def headers(self) -> list[Header]:
        """The headers for an upstream: this trace, with our span as parent."""
        parent = f"00-{self.trace_id}-{self.span_id}-{self.flags:02x}".encode("ascii")
        fields: list[Header] = [(b"traceparent", parent)]
        if self.state:
            fields.append((b"tracestate", self.state))
        if self.baggage:
            fields.append((b"baggage", self.baggage))
        return fields

    def child(self) -> "TraceContext":
        """A request of ours in the trace of a trusted caller."""
        span_id = os.urandom(8).hex()
        return self._replace(span_id=span_id, correlation_id=span_id)


_CURRENT: Final[ContextVar[TraceContext | None]] = ContextVar("trace", default=None)
_DRAWN: Final = 128
_ids: Final[list[str]] = []  # random bytes for future ids; none of them is secret


def current() -> TraceContext | None:
    """The trace of the current task's request; None for work without a request."""
    return _CURRENT.get()


def begin(received: TraceContext | None = None) -> TraceContext:
    """Starts a request, in the received trace or in a new one.

    A new trace is marked as sampled: otherwise upstreams that follow the parent would never record it.
    """
    if received is not None:
        context = received.child()
    else:
        if not _ids:
            # In batches: a system call per request would dominate the cost.
            drawn = os.urandom(_DRAWN * 24).hex()  # 192 bits each, so neither id is ever all zeros
            _ids.extend(drawn[at : at + 48] for at in range(0, len(drawn), 48))
        ids = _ids.pop()
        context = TraceContext(ids[:32], ids[32:], ids[32:])
    _CURRENT.set(context)
    return context


def correlation_id() -> str:
    """The id of this request for users and logs: 16 hex digits."""
    return (_CURRENT.get() or begin()).correlation_id


def upstream_headers() -> list[Header]:
    return (_CURRENT.get() or begin()).headers()


def extract(headers: Sequence[Header]) -> TraceContext | None:
    """The context of a request (names in lower case), or None if there is no well-formed one.

    A malformed `tracestate` is dropped alone (section 3.3.1.5): the trace continues.
    """
    values = [value for name, value in headers if name == b"traceparent"]
    if len(values) != 1 or (match := _TRACEPARENT.fullmatch(values[0])) is None:
        return None
    version, trace_id, span_id, flags, more = match.groups()
    if version == b"ff" or (version == b"00" and more is not None):
        return None
    if not trace_id.strip(b"0") or not span_id.strip(b"0"):
        return None
    ids = trace_id.decode("ascii"), span_id.decode("ascii")
    # Of a later version only this flag is known to have the same meaning.
    return TraceContext(*ids, ids[1], int(flags, 16) & SAMPLED, _state(headers), _baggage(headers))


def _state(headers: Sequence[Header]) -> bytes:
    """The members in their order, from one header or several; empty when one of them is malformed."""
    state = b",".join(value.strip(b" \t") for name, value in headers if name == b"tracestate")
    members = [member.strip(b" \t") for member in state.split(b",")]
    filled = [member for member in members if member]
    if len(state) > _STATE_LIMIT or len(filled) > _STATE_MEMBERS:
        return b""
    keys = set()
    for member in filled:
        key, equals, value = member.partition(b"=")
        if not equals or key in keys or not _STATE_KEY.fullmatch(key) or not _STATE_VALUE.fullmatch(value):
            return b""
        keys.add(key)
    return b",".join(filled)


def _baggage(headers: Sequence[Header]) -> bytes:
    baggage = b",".join(value.strip(b" \t") for name, value in headers if name == b"baggage")
    return baggage if len(baggage) <= _BAGGAGE_LIMIT else b""


# --- spans


class Span(Protocol):
    """One operation that is being recorded."""

    @property
    def context(self) -> TraceContext:
        """The context while this span is open."""
        ...

    def set(self, attribute: str, value: str | int | bool) -> None:
        """`attribute` is a name of OpenTelemetry's semantic conventions or begins with `bff.`."""
        ...

    def fail(self, error_type: str) -> None:
        """Marks the span as failed; `error_type` is an error code or a class name, never a message."""
        ...

    def end(self) -> None: ...


class Tracer(Protocol):
    """Receives spans. `parent` is None for the first span of a trace, and for a request that continues none."""

    def start(self, name: str, kind: Kind, parent: TraceContext | None) -> Span: ...

    def stop(self) -> None:
        """Exports the remaining spans; blocks for a bounded time."""
        ...


_TRACER: Final[ContextVar[Tracer | None]] = ContextVar("tracer", default=None)
_SERVER: Final[ContextVar[Span | None]] = ContextVar("server span", default=None)


def set_tracer(tracer: Tracer | None) -> None:
    """Binds the tracer to this task and the tasks it starts; None: their spans are not recorded."""
    if _TRACER.get() is not tracer:
        _TRACER.set(tracer)


def recording() -> bool:
    """Whether a tracer is bound to this task."""
    return _TRACER.get() is not None


class _NoopSpan:
    """The no-op span and context manager, shared."""

    __slots__ = ()

    def __enter__(self) -> "_NoopSpan":
        return self

    def __exit__(self, *_: object) -> None: ...

    def set(self, attribute: str, value: str | int | bool) -> None: ...

    def fail(self, error_type: str) -> None: ...


_NOOP: Final = _NoopSpan()


class _RecordedSpan:
    """Opens a span and makes its context current."""

    __slots__ = ("_kind", "_name", "_parent", "_span", "_tokens", "_tracer")

    def __init__(self, tracer: Tracer, name: str, kind: Kind, parent: TraceContext | None) -> None:
        self._tracer, self._name, self._kind, self._parent = tracer, name, kind, parent

    def __enter__(self) -> Span:
        span = self._span = self._tracer.start(self._name, self._kind, self._parent)
        context = span.context
        if self._kind == "server":
            context = context._replace(correlation_id=context.span_id)
        elif self._parent is not None:
            context = context._replace(correlation_id=self._parent.correlation_id)
        self._tokens = _CURRENT.set(context), _SERVER.set(span) if self._kind == "server" else None
        return span

    def __exit__(
        self, error_type: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        outer, server = self._tokens
        _CURRENT.reset(outer)
        if server is not None:
            _SERVER.reset(server)
        if error_type is not None:
            self._span.fail(getattr(error, "code", None) or error_type.__name__)
        self._span.end()


def span(name: str, kind: Kind) -> _RecordedSpan | _NoopSpan:
    """A context manager for a span of the current trace. An exception marks the span as failed, without a message."""
    tracer = _TRACER.get()
    return _NOOP if tracer is None else _RecordedSpan(tracer, name, kind, _CURRENT.get())


def server_span(name: str, incoming: TraceContext | None) -> _RecordedSpan | _NoopSpan:
    """The server span of a request, in the received trace or in a new one."""
    tracer = _TRACER.get()
    return _NOOP if tracer is None else _RecordedSpan(tracer, name, "server", incoming)


def set_route(route: str) -> None:
    """Sets the route of the current request: a prefix or a template, never the client's path."""
    if (server := _SERVER.get()) is not None:
        server.set("http.route", route)
