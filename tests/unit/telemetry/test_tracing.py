"""W3C Trace Context: parsing, which callers are trusted, and what upstreams and the log receive."""

import io
import json
import logging
import re
from collections.abc import Iterator

import pytest

from bff.errors import ProviderUnavailable
from bff.telemetry import tracing
from bff.telemetry.logging import configure_logging
from tests.harness.proxy_server import User, Users, bff
from tests.harness.raw_http import Response, fetch
from tests.harness.raw_upstream import ok, raw_upstream, route, sends
from tests.harness.root_logger import taken_root_logger

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
PARENT = f"00-{TRACE}-{SPAN}-01"
TRACEPARENT = re.compile(r"00-([0-9a-f]{32})-([0-9a-f]{16})-0[01]")


def read(*values: str, **others: str) -> tracing.TraceContext | None:
    fields = [(b"traceparent", value.encode()) for value in values]
    return tracing.extract([*fields, *((name.encode(), value.encode()) for name, value in others.items())])


def sent_trace(upstream_heard: list[str]) -> tuple[str, str]:
    """Trace and span of the one traceparent that an upstream heard."""
    (parent,) = upstream_heard
    match = TRACEPARENT.fullmatch(parent)
    assert match is not None
    return match.group(1), match.group(2)


def test_a_traceparent_is_read() -> None:
    context = read(PARENT, tracestate="vendor=a, other@tenant=b", baggage="k=v")
    assert context == tracing.TraceContext(TRACE, SPAN, SPAN, 1, b"vendor=a,other@tenant=b", b"k=v")


@pytest.mark.parametrize(
    "value",
    [
        "",
        "00",
        PARENT.upper(),
        PARENT + "-more",
        PARENT + "\n",
        PARENT[:-1],
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"ff-{TRACE}-{SPAN}-01",
        f"cc-{TRACE}-{SPAN}-01more",
        f"00-{TRACE[:-1]}g-{SPAN}-01",
        f"00-{TRACE}-{SPAN}-1",
        f"{PARENT},{PARENT}",
    ],
)
def test_a_malformed_or_second_traceparent_is_none(value: str) -> None:
    assert read(value) is None
    assert read(PARENT, value or PARENT) is None


def test_a_later_version_is_read_as_far_as_it_is_known() -> None:
    context = read(f"cc-{TRACE}-{SPAN}-ff-what-the-future-brings")
    assert context is not None
    assert context.headers() == [(b"traceparent", PARENT.encode())]


@pytest.mark.parametrize(
    "state",
    ["novalue", "UPPER=a", "a=b,a=c", "a=" + "b" * 257, "a=b=c", "a=\x7f", ",".join(f"k{n}=v" for n in range(33))],
)
def test_a_malformed_tracestate_is_dropped_and_the_trace_goes_on(state: str) -> None:
    context = read(PARENT, tracestate=state)
    assert context is not None
    assert (context.trace_id, context.state) == (TRACE, b"")


def test_a_tracestate_longer_than_512_bytes_is_dropped() -> None:
    assert read(PARENT, tracestate=",".join(f"k{n}={'v' * 60}" for n in range(9))) == read(PARENT)


async def test_the_trace_headers_of_an_untrusted_client_are_dropped() -> None:
    sent = (f"traceparent: {PARENT}", "tracestate: vendor=canary", "baggage: user=canary")
    async with raw_upstream(ok()) as upstream:
        with bff(route(upstream)) as port:
            await fetch(port, "/api/x", *sent)
            await fetch(port, "/api/x", *sent)
    first, second = (sent_trace(heard.all("traceparent")) for heard in upstream.requests)
    assert TRACE not in (first[0], second[0])
    assert first[0] != second[0]
    assert [heard.all("tracestate") + heard.all("baggage") for heard in upstream.requests] == [[], []]


async def test_the_trace_of_a_trusted_proxy_is_continued_with_our_span() -> None:
    async with raw_upstream(ok()) as upstream:
        with bff(route(upstream), trusted=("127.0.0.1",)) as port:
            sent = (f"traceparent: {PARENT[:-2]}00", "tracestate: a=1", "tracestate: b=2", "baggage: tenant=7")
            await fetch(port, "/api/x", *sent)
    (heard,) = upstream.requests
    trace_id, span_id = sent_trace(heard.all("traceparent"))
    assert trace_id == TRACE
    assert span_id != SPAN
    assert heard.all("traceparent")[0].endswith("-00")
    assert (heard.all("tracestate"), heard.all("baggage")) == (["a=1,b=2"], ["tenant=7"])


@pytest.mark.parametrize("sent", [(), ("traceparent: 00-nonsense", "tracestate: a=1", "baggage: tenant=7")])
async def test_a_trusted_proxy_without_a_valid_traceparent_gets_a_new_trace(sent: tuple[str, ...]) -> None:
    async with raw_upstream(ok()) as upstream:
        with bff(route(upstream), trusted=("127.0.0.1",)) as port:
            answer = await fetch(port, "/api/x", *sent)
    (heard,) = upstream.requests
    assert (answer.status, len(sent_trace(heard.all("traceparent"))[0])) == (200, 32)
    assert heard.all("traceparent")[0].endswith("-01")
    assert heard.all("tracestate") == heard.all("baggage") == []


async def test_a_connection_header_does_not_remove_our_trace() -> None:
    async with raw_upstream(ok()) as upstream:
        with bff(route(upstream)) as port:
            await fetch(port, "/api/x", "connection: traceparent")
    sent_trace(upstream.requests[0].all("traceparent"))


async def test_a_websocket_handshake_carries_the_trace_to_the_upstream() -> None:
    async with raw_upstream(sends(b"HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n")) as upstream:
        with bff(route(upstream, websocket=True), trusted=("127.0.0.1",)) as port:
            handshake = ("connection: Upgrade", "upgrade: websocket", "sec-websocket-version: 13")
            key = "sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ=="
            await fetch(port, "/api/x", *handshake, key, "origin: https://app.example", f"traceparent: {PARENT}")
    trace_id, span_id = sent_trace(upstream.requests[0].all("traceparent"))
    assert trace_id == TRACE
    assert span_id != SPAN


def reference(answer: Response) -> str:
    return str(json.loads(answer.body)["correlation_id"])


@pytest.fixture
def log() -> Iterator[io.StringIO]:
    with taken_root_logger() as stream:
        configure_logging("debug", "json", stream)
        yield stream


def lines(log: io.StringIO) -> list[dict[str, object]]:
    return [json.loads(line) for line in log.getvalue().splitlines()]


async def test_the_log_and_the_error_name_the_same_trace_and_request(log: io.StringIO) -> None:
    users = Users(alice=User("t"))
    async with raw_upstream(ok()) as upstream:
        with bff(route(upstream), users=users, trusted=("127.0.0.1",)) as port:
            refused = [await fetch(port, "/api/x", f"traceparent: {PARENT}", user=None) for _ in range(2)]
    found = [line for line in lines(log) if line["message"] == "request failed"]
    assert [(line["trace_id"], line["correlation_id"]) for line in found] == [(TRACE, reference(a)) for a in refused]
    assert reference(refused[0]) != reference(refused[1])


async def test_the_reference_is_the_span_that_an_upstream_saw(log: io.StringIO) -> None:
    async with raw_upstream(sends(b"nonsense\r\n\r\n")) as upstream:
        with bff(route(upstream)) as port:
            answer = await fetch(port, "/api/x")
    assert (answer.status, reference(answer)) == (502, sent_trace(upstream.requests[0].all("traceparent"))[1])


async def test_a_refusal_of_the_guard_has_a_reference_too(log: io.StringIO) -> None:
    with bff() as port:
        answer = await fetch(port, "/api/%2e%2e/x")
    (line,) = [line for line in lines(log) if line["message"] == "request failed"]
    assert (answer.status, line["correlation_id"]) == (400, reference(answer))


def test_work_without_a_request_belongs_to_no_trace(log: io.StringIO) -> None:
    logging.getLogger("bff.test").warning("on its own", extra={"error": ProviderUnavailable.code})
    (line,) = [line for line in lines(log) if line["message"] == "on its own"]
    assert "trace_id" not in line
    assert "correlation_id" not in line
