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
    leeway = Difference("app", "refresh_token_leeway", 0, 30, "It matters.", "Set it.")
    uris = Difference("app", "redirect_uris", ["a", "b"], ["b", "c"], "It matters.", "Set it.")
    key = Difference("app", "public_key", None, {"kid": "k1", "n": "x"}, "It matters.", "By hand.", "manual")
    assert plan_lines(plan(leeway, uris, key)) == [
        "Org https://example.okta.com, app integration BFF app.example.com (0oa1)",
        *("  ~ refresh_token_leeway", "      - 0", "      + 30", "      It matters.", "      Set it."),
        *("  ~ redirect_uris", "      - a", "      + c", "      It matters.", "      Set it."),
        *("  ! public_key", "      - (nothing)", "      + key k1", "      It matters.", "      By hand."),
        "  note: A note.",
        "  ~ `bff okta apply` changes it   ! change it manually   - what the org has   + what the settings need",
        "3 differences, 1 of them manual.",
    ]
    content = plan_json(plan(leeway))
    assert (content["differs"], content["notes"], content["app"]["id"]) == (True, ["A note."], "0oa1")
    assert content["differences"][0] | {"why": "", "fix": ""} == {
        "part": "app",
        "name": "refresh_token_leeway",
        "actual": 0,
        "expected": 30,
        "why": "",
        "fix": "",
        "by": "apply",
    }


def test_without_differences() -> None:
    assert plan_lines(plan())[-1] == "Nothing differs."
    assert "(does not exist yet)" in plan_lines(plan(exists=False))[0]
    assert plan_json(plan(exists=False))["app"] is None
