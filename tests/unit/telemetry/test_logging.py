"""Log lines: their format and time, the loggers of other packages, and floods."""

import asyncio
import io
import json
import logging
import time
import warnings
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Literal

import pytest
import redis.asyncio

from bff.config.settings import load_settings
from bff.telemetry.logging import PINNED, BoundedHandler, JsonFormatter, TextFormatter, configure_logging
from tests.harness.plain_http import plain_http
from tests.harness.root_logger import taken_root_logger
from tests.harness.settings import CLIENT_SECRET, RIGHT


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    with taken_root_logger() as taken:
        yield taken


def lines(stream: io.StringIO) -> list[dict[str, object]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_a_line_is_one_json_object_with_its_fields(stream: io.StringIO) -> None:
    configure_logging("info", "json", stream)
    logging.getLogger("bff.flows").info("signed in", extra={"session": "1a2b3c4d", "tries": 2, "late": False})
    (line,) = lines(stream)
    assert line.pop("time")
    assert line == {
        "level": "info",
        "logger": "bff.flows",
        "message": "signed in",
        "session": "1a2b3c4d",
        "tries": 2,
        "late": False,
    }


def test_a_field_cannot_replace_those_of_the_line(stream: io.StringIO) -> None:
    configure_logging("info", "json", stream)
    logging.getLogger("bff").info("x", extra={"level": "critical", "time": "1970", "logger": "root"})
    (line,) = lines(stream)
    assert (line["level"], line["level_"], line["logger"], line["logger_"]) == ("info", "critical", "bff", "root")


@pytest.fixture(params=["Asia/Kathmandu", "America/Lima"])
def _time_zone(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with monkeypatch.context() as patch:
        patch.setenv("TZ", request.param)
        time.tzset()
        yield
    time.tzset()


@pytest.mark.case("LG-020")
@pytest.mark.usefixtures("_time_zone")
@pytest.mark.parametrize("log_format", ["json", "text"])
def test_the_time_is_utc_with_its_offset_wherever_the_host_is(
    stream: io.StringIO, log_format: Literal["json", "text"]
) -> None:
    configure_logging("info", log_format, stream)
    logging.info("x")
    output = stream.getvalue()
    written = json.loads(output)["time"] if log_format == "json" else output.split()[0]
    assert written.endswith("+00:00")
    assert abs(datetime.now(UTC) - datetime.fromisoformat(written)) < timedelta(minutes=2)


def test_an_exception_in_text_cannot_look_like_a_record(stream: io.StringIO) -> None:
    configure_logging("info", "text", stream)
    try:
        raise ValueError("x\n2026-01-01T00:00:00.000+00:00 info     bff: signed in\x1b[2J refresh_token=canary")
    except ValueError:
        logging.getLogger("bff").exception("failed")
    first, *rest = stream.getvalue().splitlines()
    assert first.endswith("error    bff: failed")
    assert all(line.startswith("    | ") and line.isprintable() for line in rest)
    assert "canary" not in stream.getvalue()


def test_an_exception_in_json_stays_in_its_line_and_contains_no_secret(stream: io.StringIO) -> None:
    configure_logging("info", "json", stream)
    try:
        raise RuntimeError("redis://:canary@redis.internal \x1b[2J")
    except RuntimeError:
        logging.getLogger("bff").exception("failed with %s", "Bearer canary-canary")
    (line,) = lines(stream)
    assert "canary" not in json.dumps(line)
    assert r"\x1b" in str(line["exception"])
    assert "RuntimeError" in str(line["exception"])


@pytest.mark.parametrize("log_format", [pytest.param("json", id="LG-012-json"), pytest.param("text", id="LG-012-text")])
def test_claims_from_outside_are_escaped(stream: io.StringIO, log_format: Literal["json", "text"]) -> None:
    configure_logging("info", log_format, stream)
    logging.getLogger("bff").warning("sub %s", "\x1b[2J\u202e", extra={"email": "\x9b\u2066@x\r\nforged"})
    assert stream.getvalue().rstrip("\n").isprintable()
    assert stream.getvalue().count("\n") == 1


@pytest.mark.parametrize("log_format", [pytest.param("json", id="LG-008-json"), pytest.param("text", id="LG-008-text")])
def test_settings_in_a_line_contain_no_secret(stream: io.StringIO, log_format: Literal["json", "text"]) -> None:
    configure_logging("info", log_format, stream)
    settings = load_settings({**RIGHT, "BFF_STORE": "redis://:canary@redis.internal"})
    logging.getLogger("bff").info(
        "%r", settings, extra={"settings": settings, "secret": settings.provider.client_secret}
    )
    assert CLIENT_SECRET not in stream.getvalue()
    assert RIGHT["BFF_SESSION_KEYS"] not in stream.getvalue()
    assert "canary" not in stream.getvalue()


def test_a_line_that_cannot_be_formatted_is_not_printed_otherwise(
    stream: io.StringIO, capsys: pytest.CaptureFixture[str]
) -> None:
    configure_logging("info", "json", stream)
    logging.getLogger("bff").info("two %s %s", "canary")
    output = capsys.readouterr().err
    assert "could not be written: TypeError" in output
    assert "canary" not in output + stream.getvalue()


def test_python_warnings_are_log_lines(stream: io.StringIO) -> None:
    configure_logging("info", "json", stream)
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        logging.captureWarnings(capture=True)
        warnings.warn("old", stacklevel=1)
    assert [line["logger"] for line in lines(stream)] == ["py.warnings"]


# --- loggers of other packages, with the root at DEBUG (LG-010)


async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    writer.write(
        b"HTTP/1.1 200 OK\r\nSet-Cookie: s=canary-set-cookie\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    )
    await writer.drain()
    writer.close()


@pytest.mark.parametrize("log_format", [pytest.param("json", id="LG-010-json"), pytest.param("text", id="LG-010-text")])
async def test_the_http_client_prints_no_headers_at_debug(
    stream: io.StringIO, log_format: Literal["json", "text"]
) -> None:
    """Without the pins httpcore writes the request's and the answer's headers."""
    configure_logging("debug", log_format, stream)
    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    headers = {"Authorization": "canary-authorization", "Cookie": "s=canary-cookie"}
    async with server, plain_http(headers=headers) as client:
        await client.get(f"http://127.0.0.1:{port}/?code=canary-code")
    logging.getLogger("bff").debug("it works at debug")
    assert "it works at debug" in stream.getvalue()
    assert "canary" not in stream.getvalue()
    assert "GET" not in stream.getvalue()


@pytest.mark.parametrize("user", [pytest.param("", id="LG-009-password"), pytest.param("bff", id="LG-009-user")])
async def test_the_stores_client_prints_no_password_at_debug(stream: io.StringIO, user: str) -> None:
    configure_logging("debug", "text", stream)
    url = f"redis://{user}:canary-password@127.0.0.1:1/0"
    client = redis.asyncio.Redis.from_url(url)
    try:
        await client.ping()
    except redis.exceptions.ConnectionError:
        logging.getLogger("bff").exception("%s refused", url)
    await client.aclose()
    assert "refused" in stream.getvalue()
    assert "canary" not in stream.getvalue()


def test_pinned_loggers_write_nothing_at_debug(stream: io.StringIO) -> None:
    for name in PINNED:
        logging.getLogger(name).addHandler(logging.StreamHandler(stream))
    configure_logging("debug", "json", stream)
    for name in PINNED:
        logging.getLogger(name).debug("canary")
        logging.getLogger(f"{name}.deep.inside").debug("canary")
    assert stream.getvalue() == ""


def test_a_higher_level_of_the_root_holds_for_pinned_loggers(stream: io.StringIO) -> None:
    configure_logging("error", "json", stream)
    logging.getLogger("uvicorn.error").info("started")
    assert stream.getvalue() == ""


# --- floods (LG-013)


Bounded = tuple[logging.Logger, io.StringIO, BoundedHandler]


class Clock:
    now = 1000.0  # seconds

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def bounded(clock: Clock) -> Iterator[Bounded]:
    stream = io.StringIO()
    handler = BoundedHandler(stream, burst=5, window=10.0, clock=clock)
    handler.setFormatter(JsonFormatter())
    logger = logging.Logger("bff.flood")
    logger.addHandler(handler)
    yield logger, stream, handler
    handler.close()


@pytest.mark.parametrize("times", [pytest.param(10_000, id="LG-013")])
def test_a_flood_of_one_warning_is_a_burst_and_a_summary(bounded: Bounded, clock: Clock, times: int) -> None:
    """Whatever the client varies."""
    logger, stream, _ = bounded
    for number in range(times):
        logger.warning("a cookie could not be opened", extra={"path": f"/{number}"})
    assert len(lines(stream)) == 5
    clock.now += 10
    logger.info("anything")
    summary = lines(stream)[5]
    assert (summary["suppressed"], summary["template"]) == (times - 5, "a cookie could not be opened")
    assert (summary["level"], summary["logger"], len(lines(stream))) == ("warning", "bff.flood", 7)


def test_after_the_window_a_message_is_logged_again(bounded: Bounded, clock: Clock) -> None:
    logger, stream, _ = bounded
    for _ in range(3):
        for _ in range(5):
            logger.error("x")
        clock.now += 10
    assert len(lines(stream)) == 15, "a burst in each window, nothing held back, no summary"


def test_other_warnings_and_the_audit_trail_pass_meanwhile(bounded: Bounded) -> None:
    logger, stream, _ = bounded
    for _ in range(100):
        logger.warning("flood")
        logger.info("signed in")
    logger.warning("another")
    output = [line["message"] for line in lines(stream)]
    assert (output.count("flood"), output.count("signed in"), output.count("another")) == (5, 100, 1)


def test_what_was_suppressed_is_reported_at_the_end(bounded: Bounded) -> None:
    logger, stream, handler = bounded
    for _ in range(9):
        logger.warning("flood")
    handler.close()
    assert lines(stream)[-1]["suppressed"] == 4


def test_a_flood_of_different_warnings_is_bounded_in_total(bounded: Bounded) -> None:
    logger, stream, _ = bounded
    for number in range(5_000):
        logger.warning(f"made of {number}")
    assert len(lines(stream)) == BoundedHandler.KINDS + 5


def test_both_formats_make_one_line_of_a_summary() -> None:
    summary = logging.LogRecord("bff", logging.WARNING, "", 0, "more", None, None)
    vars(summary).update(suppressed=3, template="x\ny")
    for formatter in (JsonFormatter(), TextFormatter()):
        assert formatter.format(summary).isprintable()
        assert "suppressed" in formatter.format(summary)
