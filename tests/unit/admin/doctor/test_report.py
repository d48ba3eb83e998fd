"""What `bff doctor` prints: a line for each check and for each fix, and a summary."""

from bff.admin.doctor.check_result import fail, ok, skipped, warn
from bff.admin.doctor.report import as_json, healthy, lines


def test_only_a_failure_is_unhealthy() -> None:
    results = [ok("a", "seen"), warn("b", "observed", "fix"), skipped("c", "why", "fix")]
    assert healthy(results)
    failed = [*results, fail("redirect_uri", "It is kept.", "Register it.")]
    assert as_json(failed)["healthy"] is healthy(failed) is False
    assert lines(failed)[-3:-1] == ["FAIL  redirect_uri  It is kept.", "                    -> Register it."]
    found = {"name": "redirect_uri", "status": "fail", "observed": "It is kept.", "fix": "Register it."}
    assert as_json(failed)["findings"][-1] == found
