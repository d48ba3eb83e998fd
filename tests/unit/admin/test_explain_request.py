"""How one request would be handled: its route, each of its headers, or why it is refused."""

import json
from typing import Any

import pytest

from bff.admin.explain_request import Explanation, explain_request
from bff.config.settings import load_settings
from tests.harness.minting import EC_KEY, private_jwk
from tests.harness.settings import with_changes

CANARY = "canary-that-must-not-be-printed"
ROUTES: list[dict[str, Any]] = [
    {
        "prefix": "/api",
        "upstream": "https://api.internal/v1",
        "strip_prefix": True,
        "add_headers": {"x-key": CANARY},
        "allow_request_headers": ["x-tenant-id"],
    },
    {
        "prefix": "/api/orders",
        "upstream": "https://orders.internal",
        "methods": ["GET", "POST"],
        "scopes": ["email"],
        "websocket": True,
    },
    {"prefix": "/open", "upstream": "https://open.internal", "token": "none"},
]


def explain(method: str, path: str, *headers: str, **changes: str) -> Explanation:
    settings = load_settings(with_changes(routes=json.dumps(ROUTES), **changes))
    explained = explain_request(settings, method, path, headers)
    assert CANARY not in str(explained)
    return explained


@pytest.mark.parametrize(
    ("method", "path", "route", "facts"),
    [
        ("GET", "/api/x?a=1", "/api", ["GET https://api.internal/v1/x?a=1", "user: requires a session", "x-key"]),
        ("POST", "/api/orders/7", "/api/orders", ["POST https://orders.internal/api/orders/7", "email", "1048576"]),
        ("GET", "/open", "/open", ["GET https://open.internal/open", "none: ignores the session"]),
        ("GET", "/main.ts", "/ (spa_upstream)", ["GET http://127.0.0.1:5173/main.ts", "websocket         yes"]),
    ],
)
def test_a_request_that_is_forwarded(method: str, path: str, route: str, facts: list[str]) -> None:
    explained = explain(method, path, spa_upstream="http://127.0.0.1:5173")
    assert explained.forwarded
    assert explained.lines[0] == f"route             {route}"
    for fact in facts:
        assert fact in "\n".join(explained.lines)


@pytest.mark.parametrize(
    ("method", "path", "why"),
    [
        ("GET", "/elsewhere", "404 route_not_found"),
        ("GET", "/apix", "404 route_not_found"),
        ("DELETE", "/api/orders", "405 method_not_allowed: /api/orders forwards GET, POST"),
        ("TRACE", "/api", "405 method_not_allowed"),
        ("GET", "/api/%2e%2e/x", "400 invalid_request"),
        ("DELETE", "/api//orders", "could match the path to /api/orders"),
        ("DELETE", "/api/%6frders/1", "400 invalid_request"),
        ("GET", "/api/\N{LATIN SMALL LETTER E WITH ACUTE}", "400 invalid_request"),
        ("GET", "/auth/session", "handles this path itself"),
        ("GET", "/authorization-code/callback", "handles this path itself"),
    ],
)
def test_a_request_that_is_not_forwarded(method: str, path: str, why: str) -> None:
    explained = explain(method, path)
    assert not explained.forwarded
    assert why in "\n".join(explained.lines)


@pytest.mark.parametrize("line", ["no colon", "bad name: x", "Content-Length: +3", ": x"])
def test_a_header_that_the_request_guard_refuses(line: str) -> None:
    explained = explain("GET", "/api/x", line)
    assert not explained.forwarded
    assert "400 invalid_request" in explained.lines[0]


def test_what_becomes_of_each_header_and_the_setting_that_would_change_it() -> None:
    sent = {
        "Accept: text/plain": "forwarded",
        "X-Tenant-Id: canary-value": "forwarded (allow_request_headers)",
        "X-Team: 1": 'dropped; to forward it, add "x-team" to allow_request_headers of /api',
        "Origin: https://a.example": 'not forwarded; to forward it, add "origin" to allow_request_headers of /api',
        "X_Team: 1": "dropped: no route may forward it",
        "X-User-Sub: root": "dropped: no route may forward it",
        "Authorization: Bearer canary-value": "dropped: no route may forward it",
        "x-key: theirs": "replaced by add_headers",
        "Prefer: a": "dropped: the Connection header lists it",
        "Connection: close, prefer": "dropped: no route may forward it",
        "Cookie: a=b": "dropped, except for cookies that allow_cookies lists",
    }
    explained = explain("GET", "/api/x", *sent)
    lines = [line.removeprefix("header            ") for line in explained.lines if line.startswith("header ")]
    assert lines == [f"{line.partition(':')[0].lower()}: {disposition}" for line, disposition in sent.items()]
    assert "canary-value" not in str(explained)
    assert "request headers   x-tenant-id" in explained.lines


def test_the_token_of_a_route_is_named() -> None:
    identity = {"audience": "orders-api", "claims": ["sub", "email"]}
    routes = [
        {"prefix": "/a", "upstream": "https://a.internal", "token": {"identity": identity}},
        {"prefix": "/b", "upstream": "https://b.internal", "assertion": {**identity, "header": "X-Who"}},
    ]
    environ = with_changes(routes=json.dumps(routes), assertion_keys=json.dumps(private_jwk(EC_KEY)))
    settings = load_settings(environ)
    instead, beside = (explain_request(settings, "GET", path, ["X-Who: me"]).lines for path in ("/a", "/b"))
    about = "for orders-api with sub, email, 60 s"
    token = f"token             identity: requires a session; forwards an identity assertion {about}"
    assert {token, "assertion         none"} <= set(instead)
    assert f"assertion         X-Who {about}" in beside
    for lines in (instead, beside):
        assert "header            x-who: dropped: no route may forward it" in lines


def test_forward_auth_names_its_rules() -> None:
    rules = json.dumps([{"name": "ops", "allow": [{"name": "operators", "groups_any": ["ops"]}]}])
    for query, said in (
        ("?rules=ops", "operators"),
        ("", " none"),
        ("?rules=x", "400 invalid_request"),
    ):
        explained = explain("GET", f"/auth/verify{query}", forward_auth_rules=rules)
        assert said in explained.lines[-1]
        assert not explained.forwarded
        assert (explained.checks is None) is (query == "?rules=x")
