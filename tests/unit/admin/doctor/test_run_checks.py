"""All checks together, against a simulated org."""

from pathlib import Path

import pytest

from bff.admin.doctor.check_result import CheckResult
from bff.admin.doctor.run_checks import run_checks
from bff.config.settings import load_settings
from tests.harness.okta_org import Operator, empty_org
from tests.unit.admin.okta.test_client_credentials import as_service_app, service_app

TOKEN = "BFF_OKTA_API_TOKEN"


async def without_api(operator: Operator) -> dict[str, CheckResult]:
    settings = load_settings({name: value for name, value in operator.served().items() if "OKTA" not in name})
    return {result.name: result for result in await run_checks(settings, None)}


async def test_a_new_app_as_apply_creates_it_is_healthy(operator: Operator) -> None:
    await operator.apply()
    seen = await operator.doctor("--json")
    assert (seen.code, seen.stderr, seen.json["healthy"]) == (0, "", True)
    healthy = {name for name, finding in seen.findings.items() if finding["status"] == "ok"}
    assert {"settings", "key_ring", "cookies", "metadata", "issuer", "clock", "keys", "pkce", "par"} <= healthy
    assert {"client_secret", "redirect_uri", "access_policy", "rotation", "okta"} <= healthy
    assert all(finding["fix"] for finding in seen.findings.values() if finding["status"] != "ok")
    readable = await operator.doctor()
    assert "ok    redirect_uri" in readable.stdout
    assert readable.stdout.splitlines()[-1].startswith("Healthy: ")
    seen = await operator.doctor("--json", BFF_REFRESH_GRACE="20")
    assert (seen.code, seen.findings["refresh_token_leeway"]["status"]) == (0, "warn")


async def test_without_a_token_it_names_what_to_verify(operator: Operator) -> None:
    await operator.apply()
    seen = await operator.doctor("--json", without=[TOKEN])
    assert seen.code == 0
    assert {seen.findings[name]["status"] for name in ("rotation", "access_policy", "okta")} == {"skipped"}


@pytest.mark.parametrize(
    ("changes", "name", "observed", "fix"),
    [
        ({"BFF_ISSUER": "https://example-admin.okta.com"}, "settings", "BFF_ISSUER ", "https://example.okta.com."),
        ({"BFF_OKTA_SERVICE_CLIENT_ID": "0oax"}, "okta_settings", "BFF_OKTA_API_TOKEN ", "Keep one"),
    ],
)
async def test_invalid_settings_are_findings(
    operator: Operator, changes: dict[str, str], name: str, observed: str, fix: str
) -> None:
    await operator.apply()
    seen = await operator.doctor("--json", **changes)
    assert (seen.code, seen.json["healthy"]) == (1, False)
    assert seen.findings.keys() == {name}
    assert seen.findings[name]["observed"].startswith(observed)
    assert fix in seen.findings[name]["fix"]


async def test_a_file_of_certificates_that_is_none(operator: Operator) -> None:
    await operator.apply()
    operator.environ["BFF_PROVIDER_CA_FILE"] = __file__
    result = (await without_api(operator))["metadata"]
    assert (result.status, "BFF_PROVIDER_CA_FILE" in result.observed) == ("fail", True)


async def test_nothing_more_is_asked_of_a_provider_that_is_away(operator: Operator) -> None:
    await operator.apply()
    await operator.okta.control.down()
    results = await without_api(operator)
    assert results["metadata"].status == "fail"
    assert "cannot be reached (connection refused" in results["metadata"].observed
    skipped = ("keys", "pkce", "par", "client_credentials", "redirect_uri")
    assert {results[name].status for name in skipped} == {"skipped"}


async def test_a_service_app_in_place_of_a_token(tmp_path: Path, key_file: Path) -> None:
    async with empty_org(tmp_path, service_apps=(service_app(key_file),)) as operator:
        as_service_app(operator, key_file)
        await operator.apply()
        seen = await operator.doctor("--json")
        assert (seen.code, seen.findings["okta"]["status"], seen.findings["access_policy"]["status"]) == (0, "ok", "ok")


async def test_credentials_that_the_management_api_rejects(operator: Operator) -> None:
    await operator.apply()
    operator.okta.control.management.licensed = False
    seen = await operator.doctor("--json")
    assert (seen.findings["access_policy"]["status"], seen.findings["okta"]["status"]) == ("skipped", "ok")
    operator.okta.control.management.token_expired = True
    seen = await operator.doctor("--json")
    assert (seen.code, seen.findings["okta"]["status"]) == (1, "fail")
    assert "create one under Security > API > Tokens" in seen.findings["okta"]["fix"]


async def test_it_changes_nothing(operator: Operator) -> None:
    client_id = await operator.apply()
    before = await operator.api("GET", f"apps/{client_id}")
    operator.okta.control.management.policies.clear()
    operator.okta.control.management.requests.clear()
    await operator.doctor()
    assert operator.okta.control.management.requests
    assert operator.writes() == []
    assert await operator.api("GET", f"apps/{client_id}") == before
    assert operator.okta.control.violations == []
    assert not (operator.here / "bff.db").exists()
