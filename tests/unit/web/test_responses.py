"""The responses of our own endpoints, and where a request may return to."""

import pytest

from bff.config.settings import load_settings
from bff.web.responses import json_response, raw_response, see_other, send_response
from bff.web.return_path import return_path
from tests.harness.asgi_call import call, http_scope, websocket_scope
from tests.harness.settings import with_changes


async def test_json_is_private_and_for_this_origin() -> None:
    response = await call(json_response({"a": "é"}, [(b"set-cookie", b"c=1")], [(b"x", b"y")]), "GET", "/")
    assert (response.status, response.body) == (200, b'{"a":"\\u00e9"}')
    assert dict(response.headers) == {
        b"content-type": b"application/json",
        b"content-length": b"14",
        b"cache-control": b"no-store",
        b"referrer-policy": b"no-referrer",
        b"x-content-type-options": b"nosniff",
        b"cross-origin-resource-policy": b"same-origin",
        b"set-cookie": b"c=1",
        b"x": b"y",
    }


async def test_a_redirect_is_a_get_that_nothing_caches() -> None:
    response = await call(see_other("/orders", [(b"set-cookie", b"c=1")]), "POST", "/")
    assert (response.status, response.one("location"), response.one("content-length")) == (303, "/orders", "0")
    assert (response.one("cache-control"), response.one("set-cookie")) == ("no-store", "c=1")
    assert (await call(raw_response(204, []), "GET", "/")).headers == []


@pytest.mark.parametrize(
    ("scope", "sent"),
    [
        (http_scope("GET", "/"), [("http.response.start", 401), ("http.response.body", b"no")]),
        (http_scope("HEAD", "/"), [("http.response.start", 401), ("http.response.body", b"")]),
        (websocket_scope("/"), [("websocket.http.response.start", 401), ("websocket.http.response.body", b"no")]),
        ({**websocket_scope("/"), "extensions": {}}, [("websocket.close", 1008)]),
    ],
)
async def test_a_response_is_sent_to_each_kind_of_request(scope: dict[str, object], sent: list[object]) -> None:
    messages: list[object] = []

    async def send(message: dict[str, object]) -> None:
        content = next(message[name] for name in ("status", "body", "code") if name in message)
        messages.append((message["type"], content))

    await send_response(scope, send, 401, [(b"x", b"y")], b"no")  # type: ignore[arg-type]
    assert messages == sent


@pytest.mark.parametrize(
    ("wanted", "path"),
    [
        ("/orders?a=1#b", "/orders?a=1#b"),
        ("https://app.example.com/orders", "/orders"),
        *(
            (wrong, "/home")
            for wrong in (None, "", "orders", "//evil.test", "https://evil.test/", "/authorization-code/callback")
        ),
    ],
)
def test_only_a_path_of_ours_is_returned_to(wanted: str | None, path: str) -> None:
    assert return_path(wanted, load_settings(with_changes(landing_path="/home")).browser) == path
