"""`bff routes explain --as`: what a route decides for the sessions of one user."""

import json
from typing import Any

import pytest

from bff.admin.explain_access import AccessChecks, AccessExplanation, explain_access
from bff.config.settings import load_settings
from bff.session.keyring import KeyRing
from bff.session.session import User
from tests.harness.example_session import created
from tests.harness.memory_store import MemoryData, MemoryStore
from tests.harness.routes import a_route
from tests.harness.settings import RIGHT, with_changes

SETTINGS = load_settings(RIGHT)
OPS_ROUTE = a_route(
    "/ops", allow=[{"name": "operators", "groups_any": ["ops"]}, {"name": "strong", "acr": ["phr"], "amr_any": ["hwk"]}]
)
OPS = AccessChecks.of_route(OPS_ROUTE)
ADDRESS = "alice@example.com"


async def explained(checks: AccessChecks, *sessions: dict[str, Any], user: str = ADDRESS) -> AccessExplanation:
    store = MemoryStore(MemoryData(lambda: 1_000.0), KeyRing.from_keys([bytes(32)]))
    for changes in sessions:
        claims = {"groups": changes.pop("groups", [])}
        await created(store, **{"user": User("00u1", ADDRESS, claims), "attempt": None, **changes})
    found = await explain_access(store, SETTINGS, checks, user, await store.now())
    assert not [line for line in found.lines if ADDRESS in line or "00u1" in line]
    return found


@pytest.mark.parametrize(
    ("changes", "forwarded", "said"),
    [
        ({"groups": ["ops"]}, True, "forwarded: by operators"),
        ({"acr": "phr", "amr": ["hwk"]}, True, "forwarded: by strong"),
        (
            {"groups": ["staff"]},
            False,
            "refused: 403 forbidden_by_rule: operators lacks groups_any; strong lacks",
        ),
        ({"groups": ["ops"], "step_up_required_at": 1.0}, False, "refused: 401 step_up_required"),
        ({"groups": ["ops"], "ends_at": 1.0}, False, "refused: 401 sign_in_required: no session of that user"),
        ({"user": User("00u2", "bob@example.com", {"groups": ["ops"]})}, False, "refused: 401 sign_in_required"),
    ],
)
async def test_the_rules_decide_for_a_session(changes: dict[str, Any], forwarded: bool, said: str) -> None:
    found = await explained(OPS, changes)
    (line,) = found.lines
    assert said in line
    assert found.forwarded is forwarded


async def test_every_session_of_an_address_or_subject_counts() -> None:
    for user in (ADDRESS, "00u1"):
        found = await explained(OPS, {"groups": ["ops"]}, {"groups": []}, user=user)
        assert sorted("forwarded" in line for line in found.lines) == [False, True]
        assert not found.forwarded
        assert (await explained(OPS, {"groups": ["ops"]}, {"groups": ["ops"]}, user=user)).forwarded


@pytest.mark.parametrize(
    ("options", "sessions", "forwarded", "said"),
    [
        ({}, [{}], True, "there are no rules"),
        ({"scopes": ["openid", "orders"]}, [{}], False, "403 insufficient_scope: without orders"),
        ({"token": "none"}, [], True, "ignores the session"),
        ({"token": "user_or_none"}, [], True, "without a token"),
        ({}, [], False, "401 sign_in_required"),
    ],
)
async def test_a_route_without_rules(
    options: dict[str, Any], sessions: list[dict[str, Any]], forwarded: bool, said: str
) -> None:
    found = await explained(AccessChecks.of_route(a_route(**options)), *sessions)
    assert said in found.lines[0]
    assert found.forwarded is forwarded


async def test_forward_auth_has_rules_of_every_request_and_of_the_named_set() -> None:
    named = json.dumps([{"name": "ops", "allow": [{"name": "operators", "groups_any": ["ops"]}]}])
    staff = json.dumps([{"name": "staff", "groups_any": ["staff"]}])
    settings = load_settings(with_changes(forward_auth_allow=staff, forward_auth_rules=named)).forward_auth
    every, ops = AccessChecks.of_forward_auth(settings, []), AccessChecks.of_forward_auth(settings, ["ops"])
    assert (str(every), str(ops), str(AccessChecks())) == ("staff", "staff, and operators", "none")
    both, one = {"groups": ["staff", "ops"]}, {"groups": ["staff"]}
    assert "forwarded: by staff and operators" in (await explained(ops, dict(both))).lines[0]
    assert "operators lacks groups_any" in (await explained(ops, dict(one))).lines[0]
    assert (await explained(every, dict(one))).forwarded
