"""`bff routes` and `bff routes explain`: what they print, and their exit codes."""

import json
import time
from pathlib import Path
from typing import Any

from bff.session.session import User
from tests.harness.bff_command import call_bff
from tests.harness.example_session import a_session
from tests.harness.settings import with_changes
from tests.harness.store_files import keep

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


def test_explain_as_a_user_asks_the_store(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'bff.db'}"
    keep(url, a_session(time.time(), user=User("00u1", "alice@example.com", {"groups": ["ops"]})))
    configured = [
        {"prefix": f"/{name}", "upstream": "https://api.internal", "allow": [{"name": name, "groups_any": [name]}]}
        for name in ("ops", "admins")
    ]
    for path, code, said in (
        ("/ops/x", 0, "forwarded: by ops"),
        ("/admins/x", 1, "admins lacks groups_any"),
    ):
        found = routes("explain", "GET", path, "--as", "alice@example.com", configured=configured, store=url)
        assert (found[0], said in found[1].splitlines()[-1]) == (code, True)
    assert "rules ops" in routes(configured=configured)[1]


def test_invalid_settings_end_with_1() -> None:
    done = call_bff("routes", environ=with_changes(routes=json.dumps([{"prefix": "/api"}])))
    assert done.returncode == 1
    assert "BFF_ROUTES[0].upstream" in done.stderr
