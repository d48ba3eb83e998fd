"""Each misconfiguration that `bff okta plan` names is named by `bff doctor` too, with what to do next; and those that
show from outside are named without any credentials for the Management API."""

from pathlib import Path

import pytest

from tests.unit.admin.okta.misconfigurations import (
    PLANTED,
    Plant,
    inactive_app,
    no_access_policy,
    policy_for_another_client,
)
from tests.unit.admin.okta.org import Operator, client_of, empty_org
from tests.unit.admin.okta.test_service_app import as_service_app, service_app

# Not as wanted, and yet everything that people need works: told, and no failure.
HARMLESS = {"label", "trusted_origin", "frontchannel_logout_uri"}
OWN_NAMES = {"access_policy", "refresh_token_rotation", "refresh_token_leeway"}
TOKEN = "BFF_OKTA_API_TOKEN"


async def test_a_new_app_as_apply_makes_it_is_well(operator: Operator) -> None:
    await operator.apply()
    seen = await operator.doctor("--json")
    assert (seen.code, seen.stderr, seen.json["healthy"]) == (0, "", True)
    well = {name for name, one in seen.findings.items() if one["status"] == "ok"}
    assert {"settings", "key_ring", "cookies", "metadata", "issuer", "clock", "keys", "pkce", "par"} <= well
    assert {"client_secret", "redirect_uri", "access_policy", "rotation", "okta"} <= well
    assert all(one["fix"] for one in seen.findings.values() if one["status"] != "ok")


@pytest.mark.parametrize(
    ("plant", "name", "fix"), [pytest.param(*case[:3], id=story) for story, case in PLANTED.items()]
)
async def test_a_planted_misconfiguration_is_named_with_what_to_do_next(
    operator: Operator, plant: Plant, name: str, fix: str
) -> None:
    client_id = await operator.apply()
    assert (await operator.doctor()).code == 0
    await plant(operator, client_id)
    seen = await operator.doctor("--json")
    one = seen.findings[name if name in OWN_NAMES else f"okta.{name}"]
    assert one["status"] == ("warn" if name in HARMLESS else "fail")
    assert fix.lower() in one["fix"].lower()
    assert seen.code == (0 if name in HARMLESS else 1)


# What is planted, the check that sees it without a token, and a word of the fix.
FROM_OUTSIDE = {
    "missing-redirect-uri": ("redirect_uri", "https://app.example.com/authorization-code/callback"),
    "redirect-uri-with-a-slash-too-many": ("redirect_uri", "exactly"),
    "no-refresh-token-grant": ("grant_types", "Refresh Token"),
    "other-client-authentication": ("client_secret", "BFF_CLIENT_AUTH"),
    "inactive-app": ("issuer", "active"),
    "no-access-policy": ("access_policy", "Add Policy"),
    "access-policy-for-another-client": ("access_policy", "Add Policy"),
    "access-policy-without-the-code-grant": ("access_policy", "Add Rule"),
    "custom-domain-issuer": ("issuer", "https://login.example.com/oauth2/default"),
    "org-issuer-on-a-custom-domain": ("issuer", "Set BFF_ISSUER to http://127.0.0.1"),
    "wrong-secret": ("client_secret", "is the secret active"),
    "retired-secret": ("client_secret", "is the secret active"),
}


@pytest.mark.parametrize(("story", "name", "fix"), [(story, *case) for story, case in FROM_OUTSIDE.items()])
async def test_what_shows_from_outside_is_named_without_a_token(
    operator: Operator, story: str, name: str, fix: str
) -> None:
    client_id = await operator.apply()
    assert (await operator.doctor(without=[TOKEN])).code == 0
    await PLANTED[story][0](operator, client_id)
    seen = await operator.doctor("--json", without=[TOKEN])
    one = seen.findings[name]
    assert (seen.code, one["status"]) == (1, "fail")
    assert fix in one["fix"]


async def test_the_wrong_type_of_app_is_named(operator: Operator) -> None:
    spa = {
        "name": "oidc_client",
        "label": "A single-page app",
        "signOnMode": "OPENID_CONNECT",
        "credentials": {"oauthClient": {"token_endpoint_auth_method": "none", "pkce_required": True}},
        "settings": {
            "oauthClient": {
                "application_type": "browser",
                "redirect_uris": ["https://app.example.com/authorization-code/callback"],
                "response_types": ["code"],
                "grant_types": ["authorization_code", "refresh_token"],
            }
        },
    }
    made = await operator.api("POST", "apps", spa)
    operator.environ |= {"BFF_CLIENT_ID": made["id"], "BFF_CLIENT_SECRET": "a-single-page-app-has-no-secret-1234"}
    seen = await operator.doctor("--json")
    assert seen.code == 1
    assert "Web Application" in seen.findings["okta.application_type"]["fix"]
    assert seen.findings["client_secret"]["status"] == "fail"


async def test_without_a_token_it_says_what_to_look_at_by_hand(operator: Operator) -> None:
    await operator.apply()
    seen = await operator.doctor("--json", without=[TOKEN], BFF_REFRESH_GRACE="45")
    assert seen.code == 0
    rotation = seen.findings["rotation"]
    assert rotation["status"] == "skipped"
    assert "Rotate token after every use, grace period 45 seconds" in rotation["fix"]
    assert seen.findings["access_policy"]["status"] == "skipped"
    assert "/auth/login" in seen.findings["okta"]["fix"]


async def test_a_grace_of_oktas_that_is_longer_than_ours_does_no_harm(operator: Operator) -> None:
    await operator.apply()
    seen = await operator.doctor("--json", BFF_REFRESH_GRACE="20")
    assert (seen.code, seen.findings["refresh_token_leeway"]["status"]) == (0, "warn")


async def test_what_the_plan_only_notes_is_told_and_is_no_failure(operator: Operator) -> None:
    client_id = await operator.apply()
    zone = {"connection": "ZONE", "include": ["nzo1"]}
    await operator.change_app(client_id, lambda app: client_of(app).update(network=zone))
    seen = await operator.doctor()
    assert seen.code == 0
    assert "disallowed_network_zone" in seen.stdout


async def test_a_service_app_may_be_the_one_who_asks(tmp_path: Path, key_file: Path) -> None:
    async with empty_org(tmp_path, service_apps=(service_app(key_file),)) as operator:
        as_service_app(operator, key_file)
        await operator.apply()
        seen = await operator.doctor("--json")
        assert (seen.code, seen.findings["okta"]["status"], seen.findings["access_policy"]["status"]) == (0, "ok", "ok")


async def test_credentials_for_the_management_api_that_do_not_work_are_named(operator: Operator) -> None:
    await operator.apply()
    operator.okta.control.management.token_expired = True
    seen = await operator.doctor("--json")
    assert seen.code == 1
    assert seen.findings["okta"]["status"] == "fail"
    assert "create one under Security > API > Tokens" in seen.findings["okta"]["fix"]


async def test_a_policy_that_these_credentials_may_not_look_at_is_not_called_well(operator: Operator) -> None:
    await operator.apply()
    operator.okta.control.management.licensed = False
    seen = await operator.doctor("--json")
    assert seen.findings["access_policy"]["status"] == "skipped"
    assert seen.findings["okta"]["status"] == "ok"


async def test_a_client_that_okta_does_not_know_is_named(operator: Operator) -> None:
    await operator.apply()
    seen = await operator.doctor("--json", without=[TOKEN], BFF_CLIENT_ID="0oaofanotherorg00001")
    assert seen.code == 1
    assert "does not know the client 0oaofanotherorg00001" in seen.findings["issuer"]["observed"]


async def test_it_changes_nothing_at_okta_and_nobody_is_signed_in_by_it(operator: Operator) -> None:
    client_id = await operator.apply()
    before = await operator.api("GET", f"apps/{client_id}")
    for plant in (no_access_policy, policy_for_another_client, inactive_app):
        operator.okta.control.management.requests.clear()
        await operator.doctor()
        assert {method for method, _, _ in operator.okta.control.management.requests} == {"GET"}
        await plant(operator, client_id)
    await operator.api("POST", f"apps/{client_id}/lifecycle/activate")
    assert await operator.api("GET", f"apps/{client_id}") == before
    assert operator.okta.control.violations == []
    assert not (operator.here / "bff.db").exists()
