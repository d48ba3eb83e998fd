"""Access rules: which sessions they allow, and what they say of those that they do not."""

from dataclasses import replace
from typing import Any

import pytest

from bff.session.access_rules import AccessRule, AccessRules, ClaimCondition, Match, Refusal, Scalar
from bff.session.session import User
from tests.harness.refresh_records import NOW, fresh

CLAIMS: dict[str, Any] = {
    "groups": ["staff", "Domain Admins"],
    "department": "finance",
    "level": 1,
    "active": True,
    "address": {"country": "NL"},
    "roles": ["auditor", {"of": "x"}, 3, True],
    "email": "ann@example.com",
    "one_role": "auditor",
    "none": [],
    "empty": "",
    "gone": "yes",
}
SESSION = replace(
    fresh(),
    user=User("00u1", "ann@example.com", CLAIMS),
    acr="urn:okta:loa:2fa:any",
    amr=["pwd", "mfa"],
    auth_time=NOW - 100,
    withdrawn_claims=["gone"],
)
EQUALS, ANY, ALL = Match.EQUALS, Match.CONTAINS_ANY, Match.CONTAINS_ALL


@pytest.mark.parametrize(
    ("claim", "match", "values", "holds"),
    [
        ("department", EQUALS, ["finance"], True),
        ("department", EQUALS, ["legal", "finance"], True),
        ("department", EQUALS, ["Finance"], False),
        ("department", EQUALS, ["fin"], False),
        ("department", EQUALS, ["finance "], False),
        ("sub", EQUALS, ["00u1"], True),
        ("level", EQUALS, [1], True),
        ("level", EQUALS, ["1"], False),
        ("level", EQUALS, [True], False),
        ("active", EQUALS, [True], True),
        ("active", EQUALS, [1], False),
        ("active", EQUALS, ["true"], False),
        ("missing", EQUALS, [""], False),
        ("groups", EQUALS, ["staff"], False),  # a list is no text
        ("address", EQUALS, ["NL"], False),
        ("gone", EQUALS, ["yes"], False),
        ("groups", ANY, ["admins", "staff"], True),
        ("groups", ANY, ["Domain Admins"], True),
        ("groups", ANY, ["Domain"], False),
        ("groups", ALL, ["staff", "Domain Admins"], True),
        ("groups", ALL, ["staff", "admins"], False),
        ("missing", ANY, ["x"], False),
        ("missing", ALL, ["x"], False),
        ("none", ALL, ["x"], False),
        ("email", ANY, ["example.com"], False),  # no part of a text
        ("one_role", ANY, ["auditor"], True),
        ("one_role", ALL, ["auditor"], True),
        ("roles", ANY, ["auditor"], True),
        ("roles", ALL, ["auditor", 3], True),
        ("roles", ANY, [1], False),
        ("roles", ANY, ["3"], False),
        ("address", ANY, ["country"], False),
        ("gone", ANY, ["yes"], False),
    ],
)
def test_a_condition_about_a_claim(claim: str, match: Match, values: list[Scalar], holds: bool) -> None:
    rule = AccessRule("rule", (ClaimCondition.of("the key", claim, match, values),))
    assert rule.holds(SESSION, NOW) is holds
    assert rule.unmet(SESSION, NOW) == (() if holds else ("the key",))


@pytest.mark.parametrize(
    ("conditions", "changes", "unmet"),
    [
        ({"acr": ("phr", "urn:okta:loa:2fa:any")}, {}, ()),
        ({"acr": ("phr",)}, {}, ("acr",)),
        ({"acr": ("phr",)}, {"acr": None}, ("acr",)),
        ({"amr_any": frozenset(["mfa", "hwk"])}, {}, ()),
        ({"amr_any": frozenset(["hwk"])}, {}, ("amr_any",)),
        ({"amr_any": frozenset(["hwk"])}, {"amr": None}, ("amr_any",)),
        ({"amr_all": frozenset(["mfa", "pwd"])}, {}, ()),
        ({"amr_all": frozenset(["mfa", "hwk"])}, {}, ("amr_all",)),
        ({"amr_all": frozenset(["mfa"])}, {"amr": []}, ("amr_all",)),
        ({"max_auth_age": 100}, {}, ()),
        ({"max_auth_age": 99}, {}, ("max_auth_age",)),
        ({"max_auth_age": 99}, {"auth_time": None}, ("max_auth_age",)),
        ({"acr": ("phr",), "amr_any": frozenset(["hwk"]), "max_auth_age": 1}, {}, ("acr", "amr_any", "max_auth_age")),
    ],
)
def test_a_condition_about_the_authentication(
    conditions: dict[str, Any], changes: dict[str, Any], unmet: tuple[str, ...]
) -> None:
    rule, session = AccessRule("rule", **conditions), replace(SESSION, **changes)
    assert rule.unmet(session, NOW) == unmet
    assert rule.holds(session, NOW) is (unmet == ())


ADMINS = AccessRule("admins", (ClaimCondition.of("groups_any", "groups", ANY, ["admins"]),))
STRONG = AccessRule("strong", (ClaimCondition.of("groups_any", "groups", ANY, ["staff"]),), acr=("phr",))
RECENT = AccessRule("recent", acr=("phr", "phrh"), max_auth_age=60)
STAFF = AccessRule("staff", (ClaimCondition.of("groups_any", "groups", ANY, ["staff"]),))


@pytest.mark.parametrize(
    ("rules", "expected"),
    [
        ((STAFF,), None),
        ((ADMINS, STAFF), None),
        ((ADMINS,), Refusal({"admins": ("groups_any",)})),
        ((ADMINS, STRONG), Refusal({"admins": ("groups_any",), "strong": ("acr",)}, ("phr",))),
        ((RECENT,), Refusal({"recent": ("acr", "max_auth_age")}, ("phr", "phrh"), 60)),
    ],
)
def test_one_of_several_rules_has_to_hold(rules: tuple[AccessRule, ...], expected: Refusal | None) -> None:
    """A sign-in is offered only where it could make a rule hold."""
    refusal = AccessRules(rules).refusal(SESSION, NOW)
    assert refusal == expected
    holding = AccessRules(rules).holding(SESSION, NOW)
    assert holding is (STAFF if expected is None else None)
