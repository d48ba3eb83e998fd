"""`bff routes` and `bff routes explain`: what they print, and their exit codes."""

import json
from typing import Any

from tests.harness.bff_command import call_bff
from tests.harness.settings import with_changes

CANARY = "canary-that-must-not-be-printed"
ROUTES: list[dict[str, Any]] = [
    {"prefix": "/api", "upstream": "https://api.internal/v1", "strip_prefix": True, "add_headers": {"x-key": CANARY}},
    {
        "prefix": "/api/orders",
        "upstream": "https://orders.internal",
        "methods": ["GET", "POST"],
        "scopes": ["email"],
        "websocket": True,
        "ignore_case": True,
    },
    {"prefix": "/open", "upstream": "https://open.internal", "token": "none"},
]


def routes(*arguments: str, configured: list[dict[str, Any]] = ROUTES, **changes: str) -> tuple[int, str]:
    done = call_bff("routes", *arguments, environ=with_changes(routes=json.dumps(configured), **changes))
    assert done.stderr == ""
    assert CANARY not in done.stdout
    return done.returncode, done.stdout


def test_the_list_shows_every_route_the_longest_prefix_first() -> None:
    code, printed = routes(spa_upstream="http://127.0.0.1:5173")
    assert code == 0
    lines = printed.splitlines()
    assert [line.split()[0] for line in lines] == ["/api/orders", "/open", "/api", "everything"]
    assert "-> https://orders.internal/api/orders" in lines[0]
    assert "token user, csrf header, GET POST, scopes email, websocket, ignore_case" in lines[0]
    assert "-> https://api.internal/v1 " in lines[2]
    assert "http://127.0.0.1:5173" in lines[3]
    assert routes(configured=[]) == (0, "There are no routes.\n")


def test_explain_ends_with_0_only_if_the_request_would_be_forwarded() -> None:
    code, printed = routes("explain", "GET", "/api/x", "-H", "X-Team: canary-value")
    assert (code, printed.splitlines()[0]) == (0, "route             /api")
    assert "x-team: dropped" in printed
    assert "canary-value" not in printed
    assert routes("explain", "GET", "/elsewhere")[0] == 1


def test_invalid_settings_end_with_1() -> None:
    done = call_bff("routes", environ=with_changes(routes=json.dumps([{"prefix": "/api"}])))
    assert done.returncode == 1
    assert "BFF_ROUTES[0].upstream" in done.stderr
