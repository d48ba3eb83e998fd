"""The plan as text and as JSON."""

from bff.admin.okta.app_integration import new_app
from bff.admin.okta.assignments import Assignments
from bff.admin.okta.difference import Difference, Findings
from bff.admin.okta.provision import OrgView, Plan
from bff.admin.okta.report import plan_json, plan_lines
from tests.unit.admin.okta.test_app_properties import DESIRED


def plan(*differences: Difference, exists: bool = True) -> Plan:
    app = new_app(DESIRED) | {"id": "0oa1"} if exists else None
    return Plan(DESIRED, OrgView(app, (), Assignments({}), (), None), Findings(differences, ("A note.",)))


def test_each_difference_has_both_values_the_reason_and_the_fix() -> None:
    uris = Difference("app", "redirect_uris", ["a", "b"], ["b", "c"], "It matters.", "Set it.")
    key = Difference("app", "public_key", None, {"kid": "k1", "n": "canary"}, "It matters.", "By hand.", "manual")
    lines = plan_lines(plan(uris, key))
    assert lines[1:6] == ["  ~ redirect_uris", "      - a", "      + c", "      It matters.", "      Set it."]
    assert lines[6:9] == ["  ! public_key", "      - (nothing)", "      + key k1"]
    assert "canary" not in str(lines)
    assert "  note: A note." in lines
    content = plan_json(plan(uris))
    assert (content["differs"], content["notes"], content["app"]["id"]) == (True, ["A note."], "0oa1")
    named = {"part": "app", "name": "redirect_uris", "actual": ["a", "b"], "expected": ["b", "c"], "by": "apply"}
    assert content["differences"] == [{**named, "why": "It matters.", "fix": "Set it."}]
    assert plan_json(plan(exists=False))["app"] is None
