"""One line per request, with the route instead of the path, and nothing of the query."""

import logging
from collections.abc import Iterator
from typing import Any

import pytest
from starlette.types import Receive, Scope, Send

from bff.asgi.access import access_of, set_route
from bff.session.keyring import KeyRing, new_key, new_session_id
from bff.web.cookies import CookieNames
from bff.web.middleware.access_log import AccessLog
from bff.web.session_cookies import SessionCookies, seal_session_cookie
from tests.harness.asgi_call import http_scope, run, websocket_scope

RING, NAMES = KeyRing.from_keys([new_key()]), CookieNames(secure=False)
SECRET = "code=canary"


def seconds() -> Iterator[float]:
    yield 10.0
    yield 10.25


async def logged(app: Any, scope: Scope, caplog: pytest.LogCaptureFixture) -> dict[str, Any]:
    clock = seconds()
    log = AccessLog(app, SessionCookies(RING, NAMES), clock=lambda: next(clock))
    with caplog.at_level(logging.INFO, "bff.access"):
        await run(log, scope)
    (line,) = caplog.records
    assert "canary" not in str(vars(line))
    return vars(line)


async def test_a_request_is_one_line(caplog: pytest.LogCaptureFixture) -> None:
    session = new_session_id()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        set_route(scope, "/api")
        access = access_of(scope)
        assert access is not None
        access.upstream = 0.0123
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    cookie = f"cookie: {NAMES.session}={seal_session_cookie(session, RING)}"
    line = await logged(app, http_scope("GET", f"/api/canary?{SECRET}", cookie), caplog)
    assert (line["method"], line["route"], line["status"]) == ("GET", "/api", 204)
    assert (line["duration_ms"], line["upstream_ms"]) == (250.0, 12.3)
    assert len(line["session"]) == 8


async def test_a_client_that_leaves_and_a_method_of_its_own_invention(caplog: pytest.LogCaptureFixture) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None: ...

    line = await logged(app, http_scope("CANARY", f"/nowhere?{SECRET}"), caplog)
    assert (line["method"], line["route"], line["status"], line["session"]) == ("_OTHER", None, None, None)


async def test_an_error_of_the_application_is_a_line_too(caplog: pytest.LogCaptureFixture) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        raise ConnectionError

    with pytest.raises(ConnectionError), caplog.at_level(logging.INFO, "bff.access"):
        await run(AccessLog(app, SessionCookies(RING, NAMES)), http_scope("GET", "/"))
    assert len(caplog.records) == 1


async def test_a_websocket_is_one_line(caplog: pytest.LogCaptureFixture) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "websocket.accept"})

    assert (await logged(app, websocket_scope(f"/api?{SECRET}"), caplog))["status"] == 101
