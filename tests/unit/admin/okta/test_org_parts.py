"""Groups, Trusted Origins and access policies: what of the org's objects is enough, without an org."""

from typing import Any

import pytest

from bff.admin.okta import access_policy, assignments, trusted_origins
from bff.admin.okta.access_policy import Policies
from bff.admin.okta.assignments import Assignments
from tests.harness.okta_org import Json
from tests.unit.admin.okta.test_app_properties import desired

CLIENT_ID = "0oaclient00000000001"
SERVER = {"status": "ACTIVE", "issuerMode": "DYNAMIC"}
CUSTOM = desired(issuer="https://example.okta.com/oauth2/default")
ISSUER = CUSTOM.settings.provider.issuer


def policy(*clients: str, status: str = "ACTIVE") -> Json:
    return {"name": "A policy", "status": status, "conditions": {"clients": {"include": clients}}}


def rule(*grants: str, scopes: tuple[str, ...] = ("*",), status: str = "ACTIVE") -> Json:
    return {"status": status, "conditions": {"grantTypes": {"include": grants}, "scopes": {"include": scopes}}}


OURS, CODE = policy(CLIENT_ID), rule("authorization_code")


@pytest.mark.parametrize(
    ("present", "allowed"),
    [
        ((OURS, CODE), True),
        ((policy("ALL_CLIENTS"), CODE), True),
        ((OURS, rule("client_credentials", "authorization_code")), True),
        ((OURS, rule("client_credentials"), CODE), True),
        ((OURS, rule("authorization_code", scopes=("openid", "profile", "email", "offline_access"))), True),
        ((OURS, rule("authorization_code", scopes=("openid", "email"))), False),
        ((OURS, rule("client_credentials")), False),
        ((OURS, rule("authorization_code", status="INACTIVE")), False),
        ((OURS,), False),
        ((policy("0oasomebodyelse00001"), CODE), False),
        ((policy(CLIENT_ID, status="INACTIVE"), CODE), False),
        (({"name": "No conditions", "status": "ACTIVE"}, CODE), False),
    ],
)
def test_a_policy_allows_this_client_only_with_an_active_rule_for_codes(
    present: tuple[Json, ...], allowed: bool
) -> None:
    policies = Policies(SERVER, ((present[0], present[1:]),))
    names = [difference.name for difference in access_policy.compare(policies, CLIENT_ID, CUSTOM).differences]
    assert names == ([] if allowed else ["access_policy"])


@pytest.mark.parametrize(
    ("server", "name"),
    [
        ({"status": "INACTIVE"}, "server_status"),
        ({"issuerMode": "CUSTOM_URL", "issuer": "https://login.example.com/oauth2/default"}, "issuer"),
        ({"issuerMode": "DYNAMIC", "issuer": "https://login.example.com/oauth2/default"}, None),
        ({"issuerMode": "ORG_URL", "issuer": ISSUER}, None),
    ],
)
def test_an_authorization_server_is_fixed_by_hand(server: Json, name: str | None) -> None:
    differences = access_policy.compare(Policies(server, ((OURS, (CODE,)),)), CLIENT_ID, CUSTOM).differences
    assert [(difference.name, difference.by) for difference in differences] == ([(name, "manual")] if name else [])


def test_a_policy_is_only_reported_where_the_command_may_not_create_or_read_it() -> None:
    by_hand = desired(issuer=ISSUER, okta_access_policy="false")
    (difference,) = access_policy.compare(Policies(SERVER), CLIENT_ID, by_hand).differences
    assert difference.by == "manual"
    unreadable = access_policy.compare(Policies(unreadable="no licence"), CLIENT_ID, CUSTOM)
    assert (unreadable.differences, "no licence" in unreadable.notes[0]) == ((), True)
    assert access_policy.compare(None, CLIENT_ID, CUSTOM).differences == ()


@pytest.mark.parametrize(
    ("present", "groups", "expected"),
    [
        (Assignments({"Everyone": "g1"}, frozenset({"g1"}), True), "Everyone", []),
        (Assignments({"Everyone": "g1"}, frozenset({"g2"}), True), "Everyone", [("group_not_assigned", "apply")]),
        (Assignments({"Everyone": None}, frozenset(), True), "Everyone", [("group_unknown", "manual")]),
        (Assignments({}, frozenset(), False), "", [("no_assignment", "manual")]),
        (Assignments({}, frozenset({"g2"}), True), "", []),
    ],
)
def test_someone_must_be_assigned(present: Assignments, groups: str, expected: list[Any]) -> None:
    differences = assignments.compare(present, desired(okta_groups=groups)).differences
    assert [(difference.name, difference.by) for difference in differences] == expected


@pytest.mark.parametrize(
    ("present", "actual", "scopes"),
    [
        ([], None, ["CORS", "REDIRECT"]),
        ([{"scopes": [{"type": "CORS"}], "status": "ACTIVE"}], ["CORS"], ["CORS", "REDIRECT"]),
        (
            [{"scopes": [{"type": "REDIRECT"}, {"type": "CORS"}], "status": "INACTIVE"}],
            ["REDIRECT", "CORS"],
            ["REDIRECT", "CORS"],
        ),
    ],
)
def test_a_trusted_origin_needs_both_scopes_and_to_be_active(
    present: list[Json], actual: list[str] | None, scopes: list[str]
) -> None:
    origin = "https://app.example.com"
    wanted = desired(okta_trusted_origins=origin)
    (difference,) = trusted_origins.compare(tuple({**item, "origin": origin} for item in present), wanted).differences
    assert (difference.actual or {}).get("scopes") == actual
    assert (difference.expected["scopes"], difference.expected["status"]) == (scopes, "ACTIVE")
    complete = {"origin": origin, "scopes": [{"type": "CORS"}, {"type": "REDIRECT"}]}
    assert trusted_origins.compare((complete,), wanted).differences == ()
