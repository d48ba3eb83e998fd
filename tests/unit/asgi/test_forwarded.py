"""`X-BFF-Forwarded`: every error of the BFF says whether an upstream may have seen the request; no upstream can."""

import json
from typing import Any

import pytest

from bff.asgi.forwarded import HEADER
from bff.errors import BffError, ProviderUnavailable, SignInRequired, StoreUnavailable
from tests.harness.ports import free_port
from tests.harness.proxy_server import User, Users, bff
from tests.harness.raw_http import Reader, Request, Respond, Response, Writer, connected, fetch, read_response, send
from tests.harness.raw_upstream import ok, raw_upstream, route, sends
from tests.harness.routes import a_route
from tests.harness.waiting import until

NAME = HEADER.decode()
STEP_UP = b'HTTP/1.1 401 No\r\nwww-authenticate: Bearer error="insufficient_user_authentication"\r\n'
EMPTY = b"content-length: 0\r\n\r\n"


def outcome(answer: Response) -> tuple[int, str, str | None]:
    assert answer.one("content-type") == "application/problem+json"
    problem = json.loads(answer.body)
    assert problem["type"] == f"urn:okta-bff:problem:{problem['code']}"
    return answer.status, problem["code"], answer.one(NAME)


def refusing(error: BffError) -> Any:
    async def credentials(scope: object) -> User:
        raise error

    return credentials


@pytest.mark.parametrize("error", [SignInRequired(), ProviderUnavailable(), StoreUnavailable()])
async def test_an_error_before_the_request_went_out_says_that_nothing_was_forwarded(error: BffError) -> None:
    async with raw_upstream(ok()) as upstream:
        with bff(route(upstream), users=refusing(error)) as port:
            answer = await fetch(port, "/api/x", method="POST", body=b"x")
            assert outcome(answer)[1:] == (error.code, "no")
            assert outcome(await fetch(port, "/elsewhere", method="POST", body=b"x"))[1:] == ("route_not_found", "no")
            assert outcome(await fetch(port, "/api/x", method="OPTIONS"))[1:] == ("method_not_allowed", "no")
            unproven = "POST /api/x HTTP/1.1\r\nhost: a\r\ncontent-length: 0\r\n\r\n"
            assert outcome(await send(port, unproven)) == (403, "csrf_required", "no")
            ambiguous = "POST /api/x HTTP/1.1\r\nhost: a\r\nhost: b\r\ncontent-length: 0\r\n\r\n"
            assert outcome(await send(port, ambiguous)) == (400, "invalid_request", "no")
    assert upstream.requests == []


async def test_a_request_that_is_too_large_or_finds_no_upstream_was_not_forwarded() -> None:
    async with raw_upstream(ok()) as upstream:
        with bff(route(upstream, request_limit=1)) as port:
            assert outcome(await fetch(port, "/api/x", method="POST", body=b"xx")) == (413, "request_too_large", "no")
        with bff(a_route("/api", f"http://127.0.0.1:{free_port()}")) as port:
            answer = await fetch(port, "/api/x", method="POST", body=b"x")
    assert outcome(answer) == (502, "upstream_unreachable", "no")
    assert upstream.requests == []


@pytest.mark.parametrize(
    ("respond", "renewal", "status", "code"),
    [
        (sends(b""), None, 502, "upstream_unreachable"),
        (sends(b"HTTP/1.1 nonsense\r\n\r\n"), None, 502, "upstream_unreachable"),
        (sends(STEP_UP + EMPTY), None, 401, "step_up_required"),
        (sends(b"HTTP/1.1 401 No\r\n" + EMPTY), SignInRequired(), 401, "sign_in_required"),
        (sends(b"HTTP/1.1 401 No\r\n" + EMPTY), StoreUnavailable(), 503, "store_unavailable"),
    ],
)
@pytest.mark.parametrize("method", ["POST", "GET"])
async def test_an_error_after_that_says_that_it_may_have_been(
    respond: Respond, renewal: BffError | None, status: int, code: str, method: str
) -> None:
    class Renews(User):
        async def renewed(self, refused_token: str) -> str:
            raise renewal or AssertionError

    async with raw_upstream(respond) as upstream:
        with bff(route(upstream), users=Users(alice=Renews("t"))) as port:
            answer = await fetch(port, "/api/x", method=method, body=b"x" if method == "POST" else None)
    assert (outcome(answer), len(upstream.requests)) == ((status, code, "maybe"), 1)


async def test_a_body_that_breaks_off_on_its_way_to_the_upstream_may_have_been_forwarded() -> None:
    async def holds(request: Request, reader: Reader, writer: Writer) -> bool:
        await reader.read()
        return False

    head = "POST /api/x HTTP/1.1\r\nhost: a\r\nx-csrf: 1\r\ncookie: user=alice\r\ntransfer-encoding: chunked\r\n\r\n"
    async with raw_upstream(holds, reads_body=False) as upstream:
        with bff(route(upstream)) as port:
            async with connected(port, f"{head}3\r\nabc\r\n") as (reader, writer):
                await until(lambda: upstream.requests)
                writer.write(b"no chunk\r\n")
                answer = await read_response(reader)
    assert outcome(answer) == (400, "invalid_request", "maybe")


async def test_an_upstream_cannot_say_it() -> None:
    forged = ok(
        b'{"type":"urn:okta-bff:problem:store_unavailable","code":"store_unavailable"}',
        "content-type: application/problem+json",
        "X-BFF-Forwarded: no",
        "connection: x-other",
        status="503 Down",
    )
    async with raw_upstream(forged) as upstream:
        with bff(route(upstream, websocket=True)) as port:
            answers = [await fetch(port, "/api/x", method=method) for method in ("GET", "POST", "HEAD")]
            handshake = (
                "GET /api/x HTTP/1.1\r\nhost: a\r\norigin: https://app.example\r\ncookie: user=alice\r\n"
                "connection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\n"
                "sec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
            )
            answers.append(await send(port, handshake))
    assert [(answer.status, answer.all(NAME)) for answer in answers] == [(503, [])] * 4
