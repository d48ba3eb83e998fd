"""What is printed: one line for each check, one for what to do next, and a last one that says whether all is well."""

from pathlib import Path

from bff.admin.doctor.check_result import fail, ok, skipped, warn
from bff.admin.doctor.report import as_json, healthy, lines
from tests.harness.bff_command import bff
from tests.harness.settings import CLIENT_SECRET, KEY, with_changes
from tests.unit.admin.okta.org import Operator


def test_only_a_failure_is_not_well() -> None:
    assert healthy([ok("a", "seen"), warn("b", "observed", "fix"), skipped("c", "why", "fix")])
    assert not healthy([ok("a", "seen"), fail("b", "observed", "fix")])


def test_the_report_can_be_read() -> None:
    told = [ok("pkce", "S256"), fail("redirect_uri", "It is kept.", "Register it.")]
    assert lines(told) == [
        "ok    pkce          S256",
        "FAIL  redirect_uri  It is kept.",
        "                    -> Register it.",
        "Unhealthy: 1 ok, 0 to check, 1 failed, 0 skipped.",
    ]
    assert as_json(told) == {
        "healthy": False,
        "findings": [
            {"name": "pkce", "status": "ok", "observed": "S256", "fix": ""},
            {"name": "redirect_uri", "status": "fail", "observed": "It is kept.", "fix": "Register it."},
        ],
    }


async def test_a_person_reads_the_same(operator: Operator) -> None:
    await operator.apply()
    seen = await operator.doctor()
    assert seen.code == 0
    assert "ok    redirect_uri" in seen.stdout
    assert seen.stdout.splitlines()[-1].startswith("Healthy: ")


def test_as_a_process_with_a_provider_and_a_store_that_are_away_it_ends_with_1_and_one_report(tmp_path: Path) -> None:
    store = "redis://user:canary-store-password@127.0.0.1:1"
    environ = with_changes(issuer="http://127.0.0.1:9", store=store)
    done = bff("doctor", environ=environ, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (1, "")
    assert "FAIL  store" in done.stdout
    assert "FAIL  metadata" in done.stdout
    assert list(tmp_path.iterdir()) == []
    for secret in ("canary-store-password", CLIENT_SECRET, KEY):
        assert secret not in done.stdout


def test_no_secret_is_taken_from_the_command_line(tmp_path: Path) -> None:
    done = bff("doctor", "--client-secret", "x", cwd=tmp_path)
    assert done.returncode == 2
    told = bff("doctor", "--help", cwd=tmp_path).stdout
    assert "secret" not in told
    assert "token" not in told
