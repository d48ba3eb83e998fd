"""`/api/**` from the browser's side: who gets through, what the others are told, and what a refused token leads to."""

import json

import pytest

from bff.errors import ProviderUnavailable, SignInRequired, StoreUnavailable
from tests.harness.upstream_wire import Heard, TokenOfUser, Users, ask, bff, fetch, ok, raw_upstream, route, says


@pytest.mark.parametrize(
    "sent",
    [
        pytest.param("authorization: Bearer evil", id="PX-005"),
        *(pytest.param(f"user-agent: {agent}", id=f"PX-016-{agent}") for agent in ("kube-probe/1.30", "GoogleHC/1.0")),
        "accept: text/html",
    ],
)
async def test_without_a_session_it_is_401_as_problem_json_and_never_a_redirect(sent: str) -> None:
    async with raw_upstream(ok()) as upstream:
        with bff(route(upstream)) as port:
            answer = await fetch(port, "/api/x", sent, user=None)
    assert (answer.status, json.loads(answer.body)["code"]) == (401, "sign_in_required")
    assert answer.one("content-type") == "application/problem+json"
    assert answer.all("set-cookie") == answer.all("location") == []
    assert upstream.heard == []


@pytest.mark.case("PX-005")
async def test_a_clients_own_token_is_never_forwarded() -> None:
    async with raw_upstream(ok()) as upstream:
        with bff(route(upstream)) as port:
            await fetch(port, "/api/x", "authorization: Bearer evil")
    assert upstream.heard[0].all("authorization") == ["Bearer token-of-alice"]


@pytest.mark.parametrize("path", ["/apix", "/", "/auth/session", "/%61pi/x", "/docs", "/openapi.json"])
async def test_a_path_without_a_route_is_404(path: str) -> None:
    async with raw_upstream(ok()) as upstream:
        with bff(route(upstream)) as port:
            answer = await fetch(port, path)
    assert (answer.status, json.loads(answer.body)["code"]) == (404, "route_not_found")
    assert upstream.heard == []


async def test_a_method_that_the_route_does_not_list_is_405_before_anybody_is_asked() -> None:
    users = Users()
    async with raw_upstream(ok()) as upstream:
        with bff(route(upstream, methods=("GET", "HEAD")), users=users) as port:
            answer = await fetch(port, "/api/x", method="DELETE")
            preflight = await ask(
                port,
                "OPTIONS /api/x HTTP/1.1\r\nhost: a\r\norigin: https://evil.test\r\n"
                "access-control-request-method: GET\r\naccess-control-request-headers: x-csrf\r\n\r\n",
            )
    assert (answer.status, answer.one("allow")) == (405, "GET, HEAD")
    assert preflight.status == 405
    assert not [name for name, _ in preflight.fields if name.startswith("access-control-")]
    assert (upstream.heard, users.asked) == ([], 0)


@pytest.mark.parametrize(
    "fields",
    [
        "",
        "x-csrf: 1\r\nsec-fetch-site: cross-site\r\n",
        "sec-fetch-site: same-origin\r\n",
        "x-csrf: 1\r\norigin: https://evil.test\r\n",
    ],
)
async def test_a_request_of_another_page_is_403_before_the_session_is_looked_at(fields: str) -> None:
    users = Users(alice=TokenOfUser("t"))
    async with raw_upstream(ok()) as upstream:
        with bff(route(upstream), users=users) as port:
            answer = await ask(port, f"GET /api/x HTTP/1.1\r\nhost: a\r\ncookie: user=alice\r\n{fields}\r\n")
    assert (answer.status, json.loads(answer.body)["code"]) == (403, "csrf_required")
    assert (upstream.heard, users.asked) == ([], 0)


@pytest.mark.parametrize("token", ["none", "user_or_none"])
async def test_where_cookies_go_up_another_page_cannot_ride_on_them(token: str) -> None:
    """Without a token too: to the API the cookie may be all that says who somebody is."""
    async with raw_upstream(ok()) as upstream:
        cookies = {"token": token, "allow_cookies": ("theme",)}
        with bff(route(upstream, websocket=True, **cookies)) as port:
            foreign = "host: a\r\ncookie: theme=dark\r\norigin: https://evil.test\r\nsec-fetch-site: cross-site\r\n"
            form = await ask(port, f"POST /api/x HTTP/1.1\r\n{foreign}content-length: 0\r\n\r\n")
            image = await ask(port, f"GET /api/x HTTP/1.1\r\n{foreign}\r\n")
            socket = await ask(
                port,
                f"GET /api/x HTTP/1.1\r\n{foreign}connection: upgrade\r\nupgrade: websocket\r\n"
                "sec-websocket-version: 13\r\nsec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n",
            )
            assert upstream.heard == []
            ours = await fetch(port, "/api/x", method="POST", body=b"x")
        with bff(route(upstream, csrf="fetch-metadata", **cookies)) as port:
            own = "host: a\r\ncookie: theme=dark\r\nsec-fetch-site: same-origin\r\n\r\n"
            read = await ask(port, f"GET /api/x HTTP/1.1\r\n{own}")
    for refused in (form, image, socket):
        assert (refused.status, json.loads(refused.body)["code"]) == (403, "csrf_required")
    assert (ours.status, read.status) == (200, 200)
    assert [heard.all("cookie") for heard in upstream.heard] == [["theme=dark"], ["theme=dark"]]


@pytest.mark.case("PX-049")
async def test_a_csrf_header_in_a_trailer_proves_nothing() -> None:
    async with raw_upstream(ok()) as upstream:
        with bff(route(upstream)) as port:
            answer = await ask(
                port,
                "POST /api/x HTTP/1.1\r\nhost: a\r\ncookie: user=alice\r\ntransfer-encoding: chunked\r\n\r\n"
                "3\r\nabc\r\n0\r\nX-CSRF: 1\r\n\r\n",
            )
    assert answer.status == 403
    assert upstream.heard == []


async def test_an_image_or_an_event_source_needs_no_header_where_the_route_says_so() -> None:
    async with raw_upstream(ok()) as upstream:
        with bff(route(upstream, csrf="fetch-metadata")) as port:
            own = "host: a\r\ncookie: user=alice\r\nsec-fetch-site: same-origin\r\n\r\n"
            answer = await ask(port, "GET /api/x HTTP/1.1\r\n" + own)
            posted = await ask(port, "POST /api/x HTTP/1.1\r\n" + own)
    assert (answer.status, posted.status) == (200, 403)


async def test_a_public_route_never_asks_who_it_is() -> None:
    users = Users(alice=TokenOfUser("t"))
    async with raw_upstream(ok()) as upstream:
        with bff(route(upstream, token="none"), users=users) as port:
            answer = await ask(port, "GET /api/x HTTP/1.1\r\nhost: a\r\ncookie: user=alice\r\n\r\n")
    assert (answer.status, users.asked) == (200, 0)
    assert upstream.heard[0].all("authorization") == upstream.heard[0].all("cookie") == []
    assert answer.one("cache-control") is None


async def test_user_or_none_forwards_with_or_without_a_token() -> None:
    async with raw_upstream(ok()) as upstream:
        with bff(route(upstream, token="user_or_none")) as port:
            answers = [await fetch(port, "/api/x", user=user) for user in ("alice", None)]
    assert [answer.status for answer in answers] == [200, 200]
    assert [heard.all("authorization") for heard in upstream.heard] == [["Bearer token-of-alice"], []]


@pytest.mark.parametrize("error", [ProviderUnavailable(retry_after=7), StoreUnavailable(retry_after=1)])
@pytest.mark.parametrize("token", ["user", "user_or_none"])
async def test_an_outage_is_503_and_signs_nobody_out(error: ProviderUnavailable | StoreUnavailable, token: str) -> None:
    async def away(scope: object) -> TokenOfUser:
        raise error

    async with raw_upstream(ok()) as upstream:
        with bff(route(upstream, token=token), users=away) as port:  # type: ignore[arg-type]
            answer = await fetch(port, "/api/x")
    assert (answer.status, json.loads(answer.body)["code"]) == (503, error.code)
    assert answer.one("retry-after") == str(error.retry_after)
    assert answer.all("set-cookie") == []
    assert upstream.heard == []


async def only_new(heard: Heard, reader: object, writer: object) -> bool:
    good = heard.all("authorization") == ["Bearer new"]
    status = b"200 OK" if good else b"401 Unauthorized\r\nwww-authenticate: Basic realm=inside"
    writer.write(b"HTTP/1.1 " + status + b"\r\ncontent-length: 2\r\n\r\nok")  # type: ignore[attr-defined]
    return True


@pytest.mark.parametrize(
    ("method", "body", "status", "seen"),
    [
        ("GET", None, 200, 2),
        ("HEAD", None, 200, 2),
        ("POST", b"x", 401, 1),
        ("DELETE", None, 401, 1),
        ("GET", b"x", 401, 1),
    ],
)
@pytest.mark.case("PX-083")
async def test_a_refused_token_is_renewed_once_and_only_a_safe_request_is_replayed(
    method: str, body: bytes | None, status: int, seen: int
) -> None:
    alice = TokenOfUser("old", after_refusal="new")
    async with raw_upstream(only_new) as upstream:
        with bff(route(upstream), users=Users(alice=alice)) as port:
            answer = await fetch(port, "/api/x", method=method, body=body)
    assert (answer.status, len(upstream.heard), alice.refused) == (status, seen, ["old"])
    assert answer.all("www-authenticate") == []


@pytest.mark.parametrize("after_refusal", [None, "still-refused"])
async def test_a_401_that_a_renewal_does_not_fix_is_passed_on(after_refusal: str | None) -> None:
    alice = TokenOfUser("old", after_refusal=after_refusal)
    async with raw_upstream(only_new) as upstream:
        with bff(route(upstream), users=Users(alice=alice)) as port:
            answer = await fetch(port, "/api/x")
    assert (answer.status, answer.body, alice.refused) == (401, b"ok", ["old"])
    assert len(upstream.heard) == (2 if after_refusal else 1)


@pytest.mark.parametrize(
    ("error", "status"), [(ProviderUnavailable(retry_after=3), 503), (SignInRequired(reason="provider_denied"), 401)]
)
async def test_what_a_renewal_is_told_the_browser_is_told(
    error: ProviderUnavailable | SignInRequired, status: int
) -> None:
    class Fails(TokenOfUser):
        async def renewed(self, refused_token: str) -> str:
            raise error

    async with raw_upstream(only_new) as upstream:
        with bff(route(upstream), users=Users(alice=Fails("old"))) as port:
            answer = await fetch(port, "/api/x")
    assert (answer.status, json.loads(answer.body)["code"]) == (status, error.code)


@pytest.mark.parametrize(("origin", "status"), [("https://evil.test", 403), (None, 403), ("https://app.example", 405)])
async def test_a_websocket_is_refused_with_a_word(origin: str | None, status: int) -> None:
    async with raw_upstream(ok()) as upstream:
        with bff(route(upstream)) as port:
            said = f"origin: {origin}\r\n" if origin else ""
            answer = await ask(
                port,
                f"GET /api/x HTTP/1.1\r\nhost: a\r\n{said}connection: upgrade\r\nupgrade: websocket\r\n"
                "sec-websocket-version: 13\r\nsec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n",
            )
    assert answer.status == status
    assert upstream.heard == []


# --- scopes, and an API that wants a stronger sign-in


@pytest.mark.parametrize(
    ("granted", "status"),
    [(("openid", "orders", "email"), 200), (("openid", "email"), 403), ((), 403), (("openid", "ORDERS", "email"), 403)],
)
async def test_a_route_is_closed_to_a_token_that_lacks_its_scopes(granted: tuple[str, ...], status: int) -> None:
    alice = TokenOfUser("t", scopes=granted)
    needs = frozenset({"orders", "email"})
    async with raw_upstream(ok()) as upstream:
        with bff(route(upstream, scopes=needs, websocket=True), users=Users(alice=alice)) as port:
            answer = await fetch(port, "/api/x")
            socket = await ask(
                port,
                "GET /api/x HTTP/1.1\r\nhost: a\r\norigin: https://app.example\r\nconnection: upgrade\r\n"
                "upgrade: websocket\r\nsec-websocket-version: 13\r\ncookie: user=alice\r\n"
                "sec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n",
            )
    assert answer.status == status
    if status == 403:
        assert json.loads(answer.body)["code"] == json.loads(socket.body)["code"] == "insufficient_scope"
        assert upstream.heard == []


def wants(**asked: str) -> bytes:
    parameters = "".join(f', {name}="{value}"' for name, value in asked.items())
    challenge = f'Bearer error="insufficient_user_authentication"{parameters}'
    return f"HTTP/1.1 401 Unauthorized\r\nwww-authenticate: {challenge}\r\ncontent-length: 2\r\n\r\nno".encode()


@pytest.mark.parametrize(
    ("asked", "url"),
    [
        ({"acr_values": "gold"}, "/auth/login?acr_values=gold&return_to="),
        ({"acr_values": "urn:a:b silver gold"}, "/auth/login?acr_values=urn%3Aa%3Ab%20gold&return_to="),
        ({"max_age": "300"}, "/auth/login?max_age=300&return_to="),
        ({"acr_values": "gold", "max_age": "0"}, "/auth/login?acr_values=gold&max_age=0&return_to="),
        ({}, "/auth/login?return_to="),
        ({"acr_values": "silver", "max_age": "300"}, None),  # what is asked for is not offered here
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_an_api_that_wants_a_stronger_sign_in_is_told_with_the_way_to_it(
    asked: dict[str, str], url: str | None, method: str
) -> None:
    alice = TokenOfUser("old", after_refusal="new")
    async with raw_upstream(says(wants(**asked), then_close=False)) as upstream:
        with bff(route(upstream), users=Users(alice=alice), acr_values=("gold", "urn:a:b")) as port:
            answer = await fetch(port, "/api/x", method=method)
    problem = json.loads(answer.body)
    assert (answer.status, problem["code"], problem["sign_in_url"]) == (401, "step_up_required", url)
    assert problem["acr_values"] == asked.get("acr_values", "").split()
    assert problem["max_age"] == (int(asked["max_age"]) if "max_age" in asked else None)
    # The token is good: a renewal would change nothing, and the request is not sent again.
    assert (alice.refused, len(upstream.heard)) == ([], 1)
    assert answer.all("set-cookie") == []


async def test_a_step_up_is_asked_only_of_who_has_a_session() -> None:
    async with raw_upstream(says(wants(max_age="5"))) as upstream:
        with bff(route(upstream, token="none")) as port:
            answer = await fetch(port, "/api/x")
    assert (answer.status, answer.body) == (401, b"no")
