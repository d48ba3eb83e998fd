"""The `allow` list of a route: what it may say, and what is reported."""

import json
from typing import Any

import pytest

from bff.config.access_rules import compile_rules
from bff.config.settings import load_settings
from bff.session.access_rules import AccessRule, ClaimCondition, Match
from tests.harness.settings import problems, with_changes

ROUTE: dict[str, Any] = {"prefix": "/api", "upstream": "https://api.internal/v1"}
GOOD: dict[str, Any] = {"name": "admins", "groups_any": ["Domain Admins", "ops", "ops"]}


def with_rules(*rules: Any, **changes: Any) -> dict[str, str]:
    return with_changes(routes=json.dumps([{**ROUTE, "allow": list(rules), **changes}]))


def test_rules_are_compiled_when_the_settings_are_read() -> None:
    every = {
        "groups_all": ["a", "b"],
        "claim_equals": {"department": "finance", "locale": ["nl", "de"]},
        "claim_contains": {"roles": "auditor"},
        "acr": ["phr"],
        "amr_any": ["hwk", "swk"],
        "amr_all": ["mfa"],
        "max_auth_age": 3600,
    }
    environ = {**with_rules(GOOD, every), "BFF_USER_CLAIMS": "sub groups department locale roles"}
    (route,) = load_settings(environ).routes
    assert route.access_rules is not None
    assert route.access_rules is route.access_rules
    assert route.access_rules.rules == (
        AccessRule(
            "admins", (ClaimCondition.of("groups_any", "groups", Match.CONTAINS_ANY, ["Domain Admins", "ops"]),)
        ),
        AccessRule(
            "rule 2",
            (
                ClaimCondition.of("groups_all", "groups", Match.CONTAINS_ALL, ["a", "b"]),
                ClaimCondition.of("claim_equals.department", "department", Match.EQUALS, ["finance"]),
                ClaimCondition.of("claim_equals.locale", "locale", Match.EQUALS, ["nl", "de"]),
                ClaimCondition.of("claim_contains.roles", "roles", Match.CONTAINS_ANY, ["auditor"]),
            ),
            ("phr",),
            frozenset(["hwk", "swk"]),
            frozenset(["mfa"]),
            3600,
        ),
    )
    assert compile_rules(()) is None


@pytest.mark.parametrize(
    ("key", "rule"),
    [
        ("groups", {"acr": ["phr"], "groups": ["a"]}),  # an unknown key
        ("groups_any", {"groups_any": []}),
        ("groups_any", {"groups_any": "Domain Admins"}),  # a name may have spaces, so a text is no list
        ("groups_any", {"groups_any": [""]}),
        ("groups_any[0]", {"groups_any": [1]}),
        ("groups_all", {"groups_all": []}),
        ("claim_equals", {"claim_equals": {}}),
        ("claim_equals", {"claim_equals": ["department"]}),
        ("claim_equals", {"claim_equals": {"department": []}}),
        ("claim_equals", {"claim_equals": {"department": ""}}),
        ("claim_equals", {"claim_equals": {"department": 1.5}}),
        ("claim_equals", {"claim_equals": {"department": None}}),
        ("claim_equals", {"claim_equals": {"department": {"is": "finance"}}}),
        ("claim_equals", {"claim_equals": {"a b": "x"}}),
        ("claim_contains", {"claim_contains": {"roles": ["x", []]}}),
        ("acr", {"acr": []}),
        ("acr", {"acr": "phr"}),
        ("amr_any", {"amr_any": []}),
        ("amr_all", {"amr_all": [""]}),
        ("max_auth_age", {"max_auth_age": 0}),
        ("max_auth_age", {"max_auth_age": "an hour"}),
        ("name", {**GOOD, "name": "a\nb"}),
        ("name", {**GOOD, "name": ""}),
        ("groups_any", {"name": "nothing"}),  # no condition at all
        ("groups_any", {}),
    ],
)
def test_an_invalid_rule_is_reported_with_its_position_and_key(key: str, rule: dict[str, Any]) -> None:
    assert list(problems(with_rules(GOOD, rule))) == [f"BFF_ROUTES[0].allow[1].{key}"]


def test_an_unknown_key_of_a_rule_gets_a_guess() -> None:
    reported = problems(with_rules({"group_any": ["a"], "acr": ["phr"]}))
    assert reported == {"BFF_ROUTES[0].allow[0].group_any": "is not a setting. Did you mean groups_any?"}


@pytest.mark.parametrize(
    ("rules", "changes", "why"),
    [
        ([], {}, "is empty"),
        ("admins", {}, "is not a list"),
        ([GOOD, GOOD], {}, "two rules named admins"),
        ([{"acr": ["phr"]}, {**GOOD, "name": "rule 1"}], {}, "two rules named rule 1"),
        ([GOOD], {"token": "user_or_none"}, "token is user_or_none"),
        ([GOOD], {"token": "none"}, "token is none"),
    ],
)
def test_a_list_of_rules_that_allows_another_set_than_it_seems_to(rules: Any, changes: Any, why: str) -> None:
    reported = problems(with_changes(routes=json.dumps([{**ROUTE, "allow": rules, **changes}])))
    assert list(reported) == ["BFF_ROUTES[0].allow"]
    assert why in reported["BFF_ROUTES[0].allow"]


def test_rules_compare_claims_that_sessions_keep() -> None:
    environ = with_rules({"claim_equals": {"department": "finance"}})
    assert "department, which allow of /api needs" in problems(environ)["BFF_USER_CLAIMS"]
    environ = {**with_rules(GOOD), "BFF_USER_CLAIMS": "sub email"}
    assert "groups, which allow of /api needs" in problems(environ)["BFF_USER_CLAIMS"]


SET: dict[str, Any] = {"name": "ops", "allow": [GOOD]}


def test_forward_auth_has_rules_for_every_request_and_named_ones() -> None:
    rules = json.dumps([SET, {"name": "strong", "allow": [{"acr": ["phr"]}]}])
    settings = load_settings(with_changes(forward_auth_allow=json.dumps([GOOD]), forward_auth_rules=rules)).forward_auth
    assert settings.access_rules == compile_rules(settings.allow)
    assert {name: found.rules[0].name for name, found in settings.named_rules.items()} == {
        "ops": "admins",
        "strong": "rule 1",
    }
    without = load_settings(with_changes()).forward_auth
    assert (without.access_rules, without.named_rules) == (None, {})


@pytest.mark.parametrize(
    ("setting", "value", "place"),
    [
        ("forward_auth_rules", [SET, {"name": "x", "allow": [{**GOOD, "group": []}]}], "[1].allow[0].group"),
        ("forward_auth_rules", [SET, {"name": "x"}], "[1].allow"),
        ("forward_auth_rules", [SET, {"allow": [GOOD]}], "[1].name"),
        ("forward_auth_rules", [{**SET, "allow": []}], "[0].allow"),
        ("forward_auth_rules", [{**SET, "allow": [GOOD, GOOD]}], "[0].allow"),
        ("forward_auth_rules", [{**SET, "prefix": "/x"}], "[0].prefix"),
        ("forward_auth_rules", [SET, {**SET, "name": "a b"}], "[1].name"),
        ("forward_auth_rules", [SET, {**SET, "name": "a&b"}], "[1].name"),
        ("forward_auth_rules", [SET, SET], ""),
        ("forward_auth_rules", "{", ""),
        ("forward_auth_rules", {"ops": [GOOD]}, ""),
        ("forward_auth_allow", [GOOD, {"groups_any": []}], "[1].groups_any"),
        ("forward_auth_allow", [], ""),
        ("forward_auth_allow", "admins", ""),
    ],
)
def test_invalid_rules_of_forward_auth_are_reported_by_place(setting: str, value: Any, place: str) -> None:
    text = value if isinstance(value, str) else json.dumps(value)
    assert list(problems(with_changes(**{setting: text}))) == [f"BFF_{setting.upper()}{place}"]


def test_rules_of_forward_auth_compare_claims_that_sessions_keep() -> None:
    for setting, value in (("forward_auth_allow", [GOOD]), ("forward_auth_rules", [SET])):
        environ = with_changes(**{setting: json.dumps(value), "user_claims": "sub email"})
        assert "groups, which a rule of forward authentication needs" in problems(environ)["BFF_USER_CLAIMS"]
