"""Traces: which one the present request belongs to (W3C Trace Context), and spans for whoever records them.

A leaf, as `bff.telemetry.metrics` is: any room may open a span. Nobody records one unless `set_tracer` was called with
a tracer (`bff.telemetry.otlp`, where BFF_TRACING asks for it); without it a span costs one comparison. A span holds no
URL, path, header or message of an error, only words of this code and of the settings.
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

# Version 00 and, as section 3.2.4 of the recommendation asks, what later versions must begin with.
_TRACEPARENT: Final = re.compile(rb"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")
_STATE_KEY: Final = re.compile(rb"[a-z0-9][a-z0-9_*/@-]{0,255}")
_STATE_VALUE: Final = re.compile(rb"[\x20-\x2b\x2d-\x3c\x3e-\x7e]{1,256}")
_STATE_LIMIT: Final = 512  # bytes that everybody has to carry (section 3.3.1.5); a longer one is dropped whole
_STATE_MEMBERS: Final = 32
_BAGGAGE_LIMIT: Final = 8192  # bytes (W3C Baggage, section 3.3.2)


class TraceContext(NamedTuple):
    """Ids in lower-case hex: 32 digits for the trace, 16 for the span and for the request.

    `correlation_id` is the id of the span that stands for the whole request: what an error's reference shows.
    """

    trace_id: str
    span_id: str
    correlation_id: str
    flags: int = SAMPLED
    state: bytes = b""
    baggage: bytes = b""

    def headers(self) -> list[Header]:
        """What an upstream is told: this trace, with our span as the parent of its own."""
        parent = f"00-{self.trace_id}-{self.span_id}-{self.flags:02x}".encode("ascii")
        fields: list[Header] = [(b"traceparent", parent)]
        if self.state:
            fields.append((b"tracestate", self.state))
        if self.baggage:
            fields.append((b"baggage", self.baggage))
        return fields

    def child(self) -> "TraceContext":
        """A request of ours in the trace of a caller that we believe."""
        span_id = os.urandom(8).hex()
        return self._replace(span_id=span_id, correlation_id=span_id)


_CURRENT: Final[ContextVar[TraceContext | None]] = ContextVar("trace", default=None)
_DRAWN: Final = 128
_ids: Final[list[str]] = []  # of traces to come; no secret is among them


def current() -> TraceContext | None:
    """The trace of the request that this task works for; None for what nobody asked for."""
    return _CURRENT.get()


def begin(received: TraceContext | None = None) -> TraceContext:
    """A request begins, in the trace that it came with or in a new one.

    A new trace is marked as sampled: an upstream that follows its parent would otherwise never record anything.
    """
    if received is not None:
        context = received.child()
    else:
        if not _ids:
            # Many at once: a system call for each request would cost as much as all the rest of this.
            drawn = os.urandom(_DRAWN * 24).hex()  # 192 bits each, so neither id is ever all zeros
            _ids.extend(drawn[at : at + 48] for at in range(0, len(drawn), 48))
        ids = _ids.pop()
        context = TraceContext(ids[:32], ids[32:], ids[32:])
    _CURRENT.set(context)
    return context


def correlation_id() -> str:
    """The id by which people and the log name this request: 16 hex digits."""
    return (_CURRENT.get() or begin()).correlation_id


def upstream_headers() -> list[Header]:
    return (_CURRENT.get() or begin()).headers()


def extract(headers: Sequence[Header]) -> TraceContext | None:
    """The context that a request came with (names in lower case), or None where there is none that is well formed.

    A malformed `tracestate` is dropped alone (section 3.3.1.5): the trace itself goes on.
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
    # Of a later version only this one flag is known to mean the same.
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
    """One piece of work, being recorded."""

    @property
    def context(self) -> TraceContext:
        """The context that holds while this span is open."""
        ...

    def set(self, attribute: str, value: str | int | bool) -> None:
        """`attribute` is a name of OpenTelemetry's semantic conventions or begins with `bff.`."""
        ...

    def fail(self, error_type: str) -> None:
        """It went wrong; `kind` is an error code or the name of a class, never a message."""
        ...

    def end(self) -> None: ...


class Tracer(Protocol):
    """Where spans go. `parent` is None for the first span of a trace, and for a request that continues none."""

    def start(self, name: str, kind: Kind, parent: TraceContext | None) -> Span: ...


_tracer: Tracer | None = None
_SERVER: Final[ContextVar[Span | None]] = ContextVar("server span", default=None)


def set_tracer(tracer: Tracer | None) -> None:
    """From now on spans go there; None: nowhere."""
    global _tracer
    _tracer = tracer


def recording() -> bool:
    return _tracer is not None


class _NoopSpan:
    """The span and the block of nobody who listens. One for all."""

    __slots__ = ()

    def __enter__(self) -> "_NoopSpan":
        return self

    def __exit__(self, *_: object) -> None: ...

    def set(self, attribute: str, value: str | int | bool) -> None: ...

    def fail(self, error_type: str) -> None: ...


_NOOP: Final = _NoopSpan()


class _RecordedSpan:
    """The block in which a span is open, and its context the current one."""

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
    """A `with` block of the present trace. What leaves it as an exception makes it a failed span, without a message."""
    return _NOOP if _tracer is None else _RecordedSpan(_tracer, name, kind, _CURRENT.get())


def server_span(name: str, incoming: TraceContext | None) -> _RecordedSpan | _NoopSpan:
    """The span of a whole request, in the trace that it came with or in a new one."""
    return _NOOP if _tracer is None else _RecordedSpan(_tracer, name, "server", incoming)


def set_route(route: str) -> None:
    """The present request belongs to this route: a prefix or a template, never a path that a client wrote."""
    if _tracer is not None and (server := _SERVER.get()) is not None:
        server.set("http.route", route)
