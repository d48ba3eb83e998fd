"""What `bff doctor` prints: a line for each check and for each fix, and a summary."""

from bff.admin.doctor.check_result import fail, ok, skipped, warn
from bff.admin.doctor.report import as_json, healthy, lines


def test_only_a_failure_is_unhealthy() -> None:
    assert healthy([ok("a", "seen"), warn("b", "observed", "fix"), skipped("c", "why", "fix")])
    assert not healthy([ok("a", "seen"), fail("b", "observed", "fix")])


def test_the_report_as_text_and_as_json() -> None:
    results = [ok("pkce", "S256"), fail("redirect_uri", "It is kept.", "Register it.")]
    assert lines(results) == [
        "ok    pkce          S256",
        "FAIL  redirect_uri  It is kept.",
        "                    -> Register it.",
        "Unhealthy: 1 ok, 0 to check, 1 failed, 0 skipped.",
    ]
    assert as_json(results) == {
        "healthy": False,
        "findings": [
            {"name": "pkce", "status": "ok", "observed": "S256", "fix": ""},
            {"name": "redirect_uri", "status": "fail", "observed": "It is kept.", "fix": "Register it."},
        ],
    }
