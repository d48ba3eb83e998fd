"""`/api/**` from the browser's side: who gets through, what the others get, and what a rejected token leads to."""

import json
from typing import Any

import pytest

from bff.errors import BffError, ProviderUnavailable, SignInRequired, StoreUnavailable
from bff.proxy.credentials import UpstreamCredentials
from tests.harness.proxy_server import User, Users, bff, running_proxy
from tests.harness.raw_http import Request, Response, fetch, send
from tests.harness.raw_upstream import ok, raw_upstream, route, sends
from tests.harness.websocket_peers import browser, socket_upstream, to

HANDSHAKE = (
    "connection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\n"
    "sec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
)


def request(fields: str, method: str = "GET") -> str:
    return f"{method} /api/x HTTP/1.1\r\nhost: a\r\n{fields}\r\n"


def problem(answer: Response) -> tuple[int, str]:
    assert answer.one("content-type") == "application/problem+json"
    return answer.status, json.loads(answer.body)["code"]


async def test_without_a_session_it_is_401_as_problem_json_and_never_a_redirect() -> None:
    async with raw_upstream(ok()) as upstream:
        with bff(route(upstream)) as port:
            for sent in ("authorization: Bearer evil", "user-agent: kube-probe/1.30", "accept: text/html"):
                answer = await fetch(port, "/api/x", sent, user=None)
                assert problem(answer) == (401, "sign_in_required")
                assert answer.all("set-cookie") == answer.all("location") == []
    assert upstream.requests == []


NOT_PUBLIC = ("/docs", "/redoc", "/openapi.json", "/metrics", "/livez", "/readyz", "/healthz?verbose", "/debug")


async def test_a_method_that_the_route_does_not_list_is_405_before_the_session_is_read() -> None:
    users = Users()
    preflight = "origin: https://evil.test\r\naccess-control-request-method: GET\r\n"
    async with raw_upstream(ok()) as upstream:
        with bff(route(upstream, methods=("GET", "HEAD")), users=users) as port:
            answers = [await fetch(port, "/api/x", method="DELETE"), await send(port, request(preflight, "OPTIONS"))]
    for answer in answers:
        assert (answer.status, answer.one("allow")) == (405, "GET, HEAD")
        assert not [name for name, _ in answer.fields if name.startswith("access-control-")]
    assert (upstream.requests, users.asked) == ([], 0)


@pytest.mark.case("CS-004")
async def test_a_request_of_another_page_is_403_before_the_session_is_read() -> None:
    users = Users(alice=User("t"))
    async with raw_upstream(ok()) as upstream:
        with bff(route(upstream), users=users) as port:
            for fields in ("", "x-csrf: 1\r\nsec-fetch-site: cross-site\r\n", "sec-fetch-site: same-origin\r\n"):
                answer = await send(port, request(f"cookie: user=alice\r\n{fields}"))
                assert problem(answer) == (403, "csrf_required")
            trailer = "cookie: user=alice\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nX-CSRF: 1\r\n"
            assert (await send(port, request(trailer, "POST"))).status == 403
    assert (upstream.requests, users.asked) == ([], 0)


@pytest.mark.parametrize("token", ["none", "user_or_none"])
async def test_where_cookies_are_forwarded_another_page_cannot_use_them(token: str) -> None:
    """Without a token too: to the API the cookie may be all that sends who a user is."""
    cookies = {"token": token, "allow_cookies": ("theme",)}
    foreign = "cookie: theme=dark\r\norigin: https://evil.test\r\nsec-fetch-site: cross-site\r\n"
    async with raw_upstream(ok()) as upstream:
        with bff(route(upstream, websocket=True, **cookies)) as port:
            for refused in (
                request(f"{foreign}content-length: 0\r\n", "POST"),
                request(foreign),
                request(foreign + HANDSHAKE),
            ):
                assert problem(await send(port, refused)) == (403, "csrf_required")
            assert upstream.requests == []
            assert (await fetch(port, "/api/x", method="POST", body=b"x")).status == 200
        with bff(route(upstream, csrf="fetch-metadata", **cookies)) as port:
            own = "cookie: theme=dark\r\nsec-fetch-site: same-origin\r\n"
            assert [(await send(port, request(own, method))).status for method in ("GET", "POST")] == [200, 403]
    assert [heard.all("cookie") for heard in upstream.requests] == [["theme=dark"], ["theme=dark"]]


@pytest.mark.parametrize(
    ("token", "asked", "authorization"),
    [("none", 0, [[], []]), ("user_or_none", 2, [["Bearer token-of-alice"], []])],
)
async def test_a_route_may_need_no_session(token: str, asked: int, authorization: list[list[str]]) -> None:
    users = Users(alice=User("token-of-alice"))
    async with raw_upstream(ok()) as upstream:
        with bff(route(upstream, token=token), users=users) as port:
            answers = [await fetch(port, "/api/x", user=user) for user in ("alice", None)]
            if token == "none":
                assert (await send(port, request("cookie: user=alice\r\n"))).status == 200, "it carries no authority"
                upstream.requests.pop()
    assert ([answer.status for answer in answers], users.asked) == ([200, 200], asked)
    assert [heard.all("authorization") for heard in upstream.requests] == authorization
    assert [heard.all("cookie") for heard in upstream.requests] == [[], []]


@pytest.mark.parametrize("handshake", ["", HANDSHAKE])
async def test_an_upstream_gets_the_claims_of_the_session_as_headers(handshake: str) -> None:
    users = Users(alice=User("t", claims={"sub": "00u1", "groups": ["a", "b,c"]}))
    identity = {"X-User-Sub": "sub", "X-User-Email": "email", "X-User-Groups": "groups"}
    forged = "x-user-sub: root\r\nx_user_sub: root\r\nx-user-email: root@evil.test\r\n"
    own = f"x-csrf: 1\r\nsec-fetch-site: same-origin\r\norigin: https://app.example\r\n{forged}{handshake}"
    async with raw_upstream(ok()) as upstream:
        for token in ("user", "user_or_none"):
            with bff(route(upstream, token=token, identity_headers=identity, websocket=True), users=users) as port:
                await send(port, request(f"cookie: user=alice\r\n{own}"))
                await send(port, request(own))
    with_session = [["00u1"], [], ["a,b%2Cc"], []]
    assert [
        [heard.all(name) for name in ("x-user-sub", "x-user-email", "x-user-groups", "x_user_sub")]
        for heard in upstream.requests
    ] == [with_session, with_session, [[], [], [], []]]


@pytest.mark.parametrize("error", [ProviderUnavailable(retry_after=7), StoreUnavailable(retry_after=1)])
@pytest.mark.parametrize("token", ["user", "user_or_none"])
async def test_an_outage_is_503_and_signs_nobody_out(error: BffError, token: str) -> None:
    async def away(scope: object) -> User:
        raise error

    async with raw_upstream(ok()) as upstream:
        with bff(route(upstream, token=token), users=away) as port:  # type: ignore[arg-type]
            answer = await fetch(port, "/api/x")
    assert (problem(answer), answer.one("retry-after")) == ((503, error.code), str(error.retry_after))
    assert (answer.all("set-cookie"), upstream.requests) == ([], [])


async def only_new(heard: Request, reader: object, writer: Any) -> bool:
    good = heard.all("authorization") == ["Bearer new"]
    status = b"200 OK" if good else b"401 Unauthorized\r\nwww-authenticate: Basic realm=inside"
    writer.write(b"HTTP/1.1 " + status + b"\r\ncontent-length: 2\r\n\r\nok")
    return True


@pytest.mark.parametrize(
    ("method", "body", "renewed", "status", "sent"),
    [
        ("GET", None, "new", 200, 2),
        ("HEAD", None, "new", 200, 2),
        ("POST", b"x", "new", 401, 1),
        ("DELETE", None, "new", 401, 1),
        ("GET", b"x", "new", 401, 1),
        ("GET", None, None, 401, 1),
        ("GET", None, "still-rejected", 401, 2),
    ],
)
@pytest.mark.case("PX-083")
async def test_a_rejected_token_is_renewed_once_and_only_a_safe_request_is_repeated(
    method: str, body: bytes | None, renewed: str | None, status: int, sent: int
) -> None:
    alice = User("old", after_refusal=renewed)
    async with raw_upstream(only_new) as upstream:
        with bff(route(upstream), users=Users(alice=alice)) as port:
            answer = await fetch(port, "/api/x", method=method, body=body)
    assert (answer.status, len(upstream.requests), alice.refused) == (status, sent, ["old"])
    assert answer.all("www-authenticate") == []


async def test_an_identity_assertion_that_an_api_rejects_is_no_reason_for_a_refresh() -> None:
    alice, identity = User("old", after_refusal="new"), {"identity": {"audience": "orders-api"}}
    async with raw_upstream(only_new) as upstream:
        with bff(route(upstream, token=identity), users=Users(alice=alice)) as port:
            answer = await fetch(port, "/api/x", "x-bff-assertion: forged")
            assert problem(await fetch(port, "/api/x", user=None)) == (401, "sign_in_required")
    assert (answer.status, alice.refused) == (401, [])
    (request,) = upstream.requests
    assert request.one("authorization") == "Bearer assertion-for-/api"
    assert request.all("x-bff-assertion") == []


@pytest.mark.parametrize(
    ("error", "status"), [(ProviderUnavailable(retry_after=3), 503), (SignInRequired(reason="provider_denied"), 401)]
)
async def test_a_renewal_that_fails_is_the_response(error: BffError, status: int) -> None:
    class Fails(User):
        async def renewed(self, refused_token: str) -> str:
            raise error

    async with raw_upstream(only_new) as upstream:
        with bff(route(upstream), users=Users(alice=Fails("old"))) as port:
            assert problem(await fetch(port, "/api/x")) == (status, error.code)


@pytest.mark.parametrize(
    ("granted", "status"),
    [(("openid", "orders", "email"), 200), (("openid", "email"), 403), ((), 403), (("openid", "ORDERS", "email"), 403)],
)
async def test_a_route_is_closed_to_a_token_that_lacks_its_scopes(granted: tuple[str, ...], status: int) -> None:
    alice, needs = User("t", scopes=granted), frozenset({"orders", "email"})
    async with raw_upstream(ok()) as upstream:
        with bff(route(upstream, scopes=needs, websocket=True), users=Users(alice=alice)) as port:
            answer = await fetch(port, "/api/x")
            socket = await send(port, request(f"origin: https://app.example\r\ncookie: user=alice\r\n{HANDSHAKE}"))
    assert answer.status == status
    if status == 403:
        assert problem(answer) == problem(socket) == (403, "insufficient_scope")
        assert upstream.requests == []


@pytest.mark.parametrize(
    ("asked", "url"),
    [
        ({"acr_values": "gold"}, "/auth/login?acr_values=gold&return_to="),
        ({"acr_values": "urn:a:b silver gold"}, "/auth/login?acr_values=urn%3Aa%3Ab%20gold&return_to="),
        ({"max_age": "300"}, "/auth/login?max_age=300&return_to="),
        ({"acr_values": "gold", "max_age": "0"}, "/auth/login?acr_values=gold&max_age=0&return_to="),
        ({}, "/auth/login?return_to="),
        ({"acr_values": "silver", "max_age": "300"}, None),  # not offered here
    ],
)
async def test_an_api_that_wants_a_stronger_sign_in_is_answered_with_its_url(
    asked: dict[str, str], url: str | None
) -> None:
    alice = User("old", after_refusal="new")
    parameters = "".join(f', {name}="{value}"' for name, value in asked.items())
    challenge = f'Bearer error="insufficient_user_authentication"{parameters}'
    response = f"HTTP/1.1 401 Unauthorized\r\nwww-authenticate: {challenge}\r\ncontent-length: 2\r\n\r\nno".encode()
    async with raw_upstream(sends(response, then_close=False)) as upstream:
        with bff(route(upstream), users=Users(alice=alice), acr_values=("gold", "urn:a:b")) as port:
            for method in ("GET", "POST"):
                answer = await fetch(port, "/api/x", method=method)
                assert problem(answer) == (401, "step_up_required")
                content = json.loads(answer.body)
                assert content["sign_in_url"] == url
                assert content["acr_values"] == asked.get("acr_values", "").split()
                assert content["max_age"] == (int(asked["max_age"]) if "max_age" in asked else None)
        # The token is good: a renewal would change nothing, and the request is not repeated.
        assert (alice.refused, len(upstream.requests)) == ([], 2)
        with bff(route(upstream, token="none")) as port:
            assert (await fetch(port, "/api/x")).body == b"no", "nobody has a session to step up"


@pytest.mark.case("DS-030", "PX-090")
async def test_a_path_without_a_route_is_404() -> None:
    async with raw_upstream(ok()) as upstream:
        with bff(route(upstream)) as port:
            for path in ("/apix", "/", "/auth/session", "/%61pi/x", *NOT_PUBLIC):
                assert problem(await fetch(port, path)) == (404, "route_not_found")
    assert upstream.requests == []


class RecordingUsers(Users):
    scopes: list[Any]

    async def __call__(self, scope: Any) -> UpstreamCredentials:
        self.scopes = [*getattr(self, "scopes", ()), scope]
        return await super().__call__(scope)


async def test_an_open_websocket_keeps_only_the_headers_that_logs_need() -> None:
    users = RecordingUsers(alice=User("t"))
    async with (
        socket_upstream() as url,
        running_proxy(to(url), users=users) as port,
        browser(port, additional_headers={"Cookie": "user=alice", "X-Forwarded-For": "10.0.0.1"}) as page,
    ):
        await page.send("hello")
        assert await page.recv() == "hello"
        (scope,) = users.scopes
        assert sorted(scope["headers"]) == [(b"cookie", b"user=alice"), (b"x-forwarded-for", b"10.0.0.1")]
