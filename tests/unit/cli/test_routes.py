"""`bff routes`: what an operator is told of the routes before anybody sends a request."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.harness.bff_command import bff
from tests.harness.settings import with_changes

CANARY = "canary-that-nobody-may-see"
ROUTES: list[dict[str, Any]] = [
    {"prefix": "/api", "upstream": "https://api.internal/v1", "strip_prefix": True, "add_headers": {"x-key": CANARY}},
    {
        "prefix": "/api/orders",
        "upstream": "https://orders.internal",
        "methods": ["GET", "POST"],
        "scopes": ["email"],
        "websocket": True,
    },
    {"prefix": "/open", "upstream": "https://open.internal", "token": "none"},
]


def routes(tmp_path: Path, *arguments: str, **changes: str) -> tuple[int, str]:
    done = bff("routes", *arguments, environ=with_changes(routes=json.dumps(ROUTES), **changes), cwd=tmp_path)
    assert done.stderr == ""
    assert CANARY not in done.stdout
    return done.returncode, done.stdout


def test_the_list_shows_every_route_the_longest_prefix_first(tmp_path: Path) -> None:
    code, told = routes(tmp_path)
    assert code == 0
    lines = told.splitlines()
    assert [line.split()[0] for line in lines] == ["/api/orders", "/open", "/api"]
    assert "-> https://orders.internal/api/orders" in lines[0]
    assert "token user, csrf header, GET POST, scopes email, websocket" in lines[0]
    assert "-> https://api.internal/v1 " in lines[2]


@pytest.mark.parametrize(
    ("method", "path", "told"),
    [
        ("GET", "/api/x?a=1", ["/api", "GET https://api.internal/v1/x?a=1", "user: requires a session", "x-key"]),
        ("POST", "/api/orders/7", ["/api/orders", "POST https://orders.internal/api/orders/7", "email", "1048576"]),
        ("GET", "/open", ["/open", "GET https://open.internal/open", "none: ignores the session"]),
    ],
)
def test_a_request_is_explained(tmp_path: Path, method: str, path: str, told: list[str]) -> None:
    code, found = routes(tmp_path, "explain", method, path)
    assert code == 0
    for word in told:
        assert word in found
    assert found.startswith(f"route             {told[0]}\n")


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
def test_a_request_that_is_not_forwarded_is_told_why(tmp_path: Path, method: str, path: str, why: str) -> None:
    code, found = routes(tmp_path, "explain", method, path)
    assert code == 1
    assert why in found


def test_the_fate_of_each_header_is_told_with_the_setting_that_would_change_it(tmp_path: Path) -> None:
    listed = [{**ROUTES[0], "allow_request_headers": ["x-tenant-id"]}, *ROUTES[1:]]
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
    options = [word for line in sent for word in ("-H", line)]
    done = bff(
        "routes", "explain", "GET", "/api/x", *options, environ=with_changes(routes=json.dumps(listed)), cwd=tmp_path
    )
    assert (done.returncode, done.stderr) == (0, "")
    told = [line.removeprefix("header            ") for line in done.stdout.splitlines() if line.startswith("header ")]
    assert told == [f"{line.partition(':')[0].lower()}: {fate}" for line, fate in sent.items()]
    assert "canary-value" not in done.stdout
    assert "request headers   x-tenant-id" in done.stdout


@pytest.mark.parametrize("line", ["no colon", "bad name: x", "Content-Length: +3", ": x"])
def test_a_header_that_the_guard_refuses_is_told_too(tmp_path: Path, line: str) -> None:
    code, found = routes(tmp_path, "explain", "GET", "/api/x", "-H", line)
    assert (code, "400 invalid_request" in found) == (1, True)


def test_a_development_server_takes_the_rest(tmp_path: Path) -> None:
    code, found = routes(tmp_path, "explain", "GET", "/src/main.ts", spa_upstream="http://127.0.0.1:5173")
    assert (code, "GET http://127.0.0.1:5173/src/main.ts" in found, "websocket         yes" in found) == (0, True, True)


def test_wrong_settings_are_told_as_everywhere(tmp_path: Path) -> None:
    done = bff("routes", environ=with_changes(routes=json.dumps([{"prefix": "/api"}])), cwd=tmp_path)
    assert done.returncode == 1
    assert "BFF_ROUTES[0].upstream" in done.stderr
