"""Under another server than `bff serve`: one warning, and what can be made up for."""

import pytest
from starlette.types import Message, Receive, Scope, Send

from bff.asgi.extensions import HEADERS_FINAL
from bff.errors import InvalidRequest, LengthRequired
from bff.web.error_responder import ErrorResponder
from bff.web.middleware.foreign_server import ForeignServer, is_last, refusal, with_close
from bff.web.middleware.request_guard import RequestGuard
from tests.harness.asgi_call import Reached, Response, http_scope, run, websocket_scope

CALLBACK = "/authorization-code/callback"


def foreign(method: str, target: str, *lines: str) -> Scope:
    scope = http_scope(method, target, *lines)
    del scope[HEADERS_FINAL]
    return scope


async def test_it_warns_once(caplog: pytest.LogCaptureFixture) -> None:
    guard = RequestGuard(Reached(), ErrorResponder())
    for _ in range(3):
        await run(guard, foreign("GET", "/"))
        await run(guard, http_scope("GET", "/"))
    assert [record.message for record in caplog.records] == ["the server is not `bff serve`"]


@pytest.mark.parametrize(
    ("target", "hidden"),
    [
        (f"{CALLBACK}?code=CANARY&state=s", True),
        ("/auth/login?login_hint=ann", True),
        ("/auth/frontchannel-logout?sid=1", True),
        ("/api/items?page=2", False),
        ("/authx?page=2", False),
    ],
)
async def test_an_access_log_that_is_written_from_the_servers_scope_has_no_code(target: str, hidden: bool) -> None:
    reached = Reached()
    guard = RequestGuard(reached, ErrorResponder(), foreign=ForeignServer(CALLBACK))
    scope = foreign("GET", target)
    await run(guard, scope)
    query = target.partition("?")[2].encode()
    assert reached.scopes[0]["query_string"] == query, "the application has it"
    assert scope["query_string"] == (b"" if hidden else query)


async def test_a_server_without_a_raw_path_gets_the_one_of_its_path() -> None:
    reached = Reached()
    guard = RequestGuard(reached, ErrorResponder())
    scope = foreign("GET", "/api/caf%C3%A9/a:b@c")
    del scope["raw_path"]
    await run(guard, scope)
    assert reached.scopes[0]["raw_path"] == b"/api/caf%C3%A9/a:b@c"
    for path in ("/api/../x", "/api/a%2fb"):
        odd = {**foreign("GET", "/"), "path": path, "raw_path": b""}
        assert (await run(guard, odd)).status == 400


@pytest.mark.parametrize(
    ("lines", "refused", "last"),
    [
        ((), None, False),
        (("content-length: 3",), None, False),
        (("transfer-encoding: chunked",), LengthRequired, False),
        (("upgrade: h2c",), None, True),
        (("upgrade: h2c", "content-length: 3"), InvalidRequest, True),
        (("upgrade: websocket", "transfer-encoding: chunked"), InvalidRequest, True),
    ],
)
async def test_the_end_of_a_request_is_not_in_doubt(lines: tuple[str, ...], refused: type | None, last: bool) -> None:
    scope, reached = foreign("POST", "/api", *lines), Reached()
    problem = refusal(scope)
    assert (None if problem is None else type(problem), is_last(scope)) == (refused, last)
    response = await run(RequestGuard(reached, ErrorResponder()), scope)
    assert bool(reached.scopes) is (refused is None)
    assert (response.one("connection") == "close") is (last or refused is not None)


async def test_a_websocket_handshake_asks_for_a_protocol_by_right() -> None:
    scope = websocket_scope("/live", "upgrade: websocket", "connection: upgrade")
    del scope[HEADERS_FINAL]
    assert (refusal(scope), is_last(scope)) == (None, False)
    assert (await run(RequestGuard(Reached(), ErrorResponder()), scope)).status == 101


async def test_a_connection_option_of_the_application_gives_way() -> None:
    sent = Response()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await with_close(send)({"type": "http.response.start", "status": 200, "headers": [(b"Connection", b"x")]})
        await with_close(send)({"type": "http.response.body"})

    async def send(message: Message) -> None:
        sent.headers += message.get("headers", [])

    await app({}, lambda: None, send)  # type: ignore[arg-type, return-value]
    assert sent.headers == [(b"connection", b"close")]
