"""Misconfigurations of the org, each named by `bff okta plan` and `bff doctor` with its fix, and fixed by `apply` where
the API can."""

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from demo.simulator.management_state import ManagementState
from tests.harness.okta_org import PUBLIC_URL, Json, Operator, app_body, client_of, empty_org
from tests.unit.admin.okta.test_app_properties import WRONG, WRONG_CREDENTIALS

Plant = Callable[[Operator, str], Awaitable[None]]
TOKEN = "BFF_OKTA_API_TOKEN"
# Sign-in and refreshes work all the same: the doctor warns.
HARMLESS = {"label", "trusted_origin", "frontchannel_logout_uri"}


def in_client(**values: Any) -> Plant:
    async def plant(operator: Operator, client_id: str) -> None:
        await operator.change_app(client_id, lambda app: client_of(app).update(values))

    return plant


def of_settings(**values: str) -> Plant:
    async def plant(operator: Operator, _: str) -> None:
        operator.environ |= values

    return plant


def in_org(change: Callable[[ManagementState], object]) -> Plant:
    async def plant(operator: Operator, _: str) -> None:
        change(operator.okta.control.management)

    return plant


async def other_client_authentication(operator: Operator, client_id: str) -> None:
    method = {"token_endpoint_auth_method": "client_secret_post"}
    await operator.change_app(client_id, lambda app: app["credentials"]["oauthClient"].update(method))


async def no_group(operator: Operator, client_id: str) -> None:
    for group in await operator.api("GET", f"apps/{client_id}/groups"):
        await operator.api("DELETE", f"apps/{client_id}/groups/{group['id']}")


async def no_assignment(operator: Operator, client_id: str) -> None:
    await no_group(operator, client_id)
    operator.environ["BFF_OKTA_GROUPS"] = ""


async def inactive_app(operator: Operator, client_id: str) -> None:
    await operator.api("POST", f"apps/{client_id}/lifecycle/deactivate")


def without_the_code_grant(state: ManagementState) -> None:
    for policy in state.policies.values():
        policy.rules[0]["conditions"]["grantTypes"]["include"] = ["client_credentials"]


async def app_on_org_domain(operator: Operator, _: str) -> None:
    """The BFF's issuer is on the custom domain, the app names the org's: `localhost` is a second host of one org."""
    operator.environ |= {
        "BFF_OKTA_ORG_URL": operator.okta.base_url,
        "BFF_ISSUER": operator.okta.base_url.replace("127.0.0.1", "localhost"),
    }


async def wrong_secret(operator: Operator, client_id: str) -> None:
    operator.environ |= {"BFF_CLIENT_ID": client_id, "BFF_CLIENT_SECRET": "a-secret-of-another-app-0123456789"}


async def retired_secret(operator: Operator, client_id: str) -> None:
    path = f"apps/{client_id}/credentials/secrets"
    made = await operator.api("POST", path, {"status": "ACTIVE"})
    for secret in await operator.api("GET", path):
        if secret["id"] != made["id"]:
            await operator.api("POST", f"{path}/{secret['id']}/lifecycle/deactivate")


async def trusted_origin_without_redirect(operator: Operator, _: str) -> None:
    operator.environ["BFF_OKTA_TRUSTED_ORIGINS"] = PUBLIC_URL
    body = {"name": "SPA", "origin": PUBLIC_URL, "scopes": [{"type": "CORS"}]}
    await operator.api("POST", "trustedOrigins", body)


CUSTOM_DOMAIN = {"issuerMode": "CUSTOM_URL", "issuer": "https://login.example.com/oauth2/default"}

# What is planted; the difference that names it; a word of the fix; whether `apply` fixes it; and the check of
# `bff doctor` without a token that sees it, with a word of its fix.
PLANTED: list[tuple[Plant, str, str, bool, tuple[str, str] | None]] = [
    (
        in_client(redirect_uris=[f"{PUBLIC_URL}/authorization-code/callback/"]),
        "redirect_uris",
        "Sign-in redirect URIs",
        True,
        ("redirect_uri", "add exactly https://app.example.com/authorization-code/callback"),
    ),
    (
        in_client(grant_types=["authorization_code"]),
        "grant_types",
        "Grant type",
        True,
        ("grant_types", "Refresh Token"),
    ),
    (
        other_client_authentication,
        "token_endpoint_auth_method",
        "Client authentication",
        True,
        ("client_secret", "BFF_CLIENT_AUTH"),
    ),
    (no_group, "group_not_assigned", "Assign to Groups", True, None),
    (no_assignment, "no_assignment", "BFF_OKTA_GROUPS", False, None),
    (of_settings(BFF_OKTA_GROUPS="Everyone, Byers"), "group_unknown", "Directory > Groups", False, None),
    (of_settings(BFF_OKTA_FRONTCHANNEL_LOGOUT="true"), "frontchannel_logout_uri", "Logout", True, None),
    (inactive_app, "app_status", "activates", True, ("issuer", "active")),
    (
        in_org(lambda state: state.policies.clear()),
        "access_policy",
        "Add Policy",
        True,
        ("access_policy", "Add Policy"),
    ),
    (in_org(without_the_code_grant), "access_policy", "Add Rule", True, ("access_policy", "Add Rule")),
    (
        in_org(lambda state: state.servers["default"].body.update(CUSTOM_DOMAIN)),
        *("issuer", "https://login.example.com/", False, ("issuer", "https://login.example.com/")),
    ),
    (app_on_org_domain, "issuer_mode", "OpenID Connect", True, ("issuer", "Set BFF_ISSUER to http://127.0.0.1")),
    (wrong_secret, "client_secret", "active secret", True, ("client_secret", "is the secret active")),
    (retired_secret, "client_secret", "active secret", True, ("client_secret", "is the secret active")),
    (trusted_origin_without_redirect, "trusted_origin", "Trusted Origins", True, None),
]


@pytest.mark.parametrize(("plant", "name", "fix", "fixed", "outside"), PLANTED)
async def test_a_planted_misconfiguration_is_named_with_its_fix(
    operator: Operator, plant: Plant, name: str, fix: str, fixed: bool, outside: tuple[str, str] | None
) -> None:
    await plant(operator, await operator.apply())
    planned = await operator.bff_okta("plan", "--json")
    assert (planned.code, planned.json["differs"]) == (2, True)
    assert fix in planned.differences[name]["fix"]
    assert planned.differences[name]["by"] == ("apply" if fixed else "manual")

    seen = await operator.doctor("--json")
    finding = seen.findings[name if name == "access_policy" else f"okta.{name}"]
    assert (seen.code, finding["status"]) == ((0, "warn") if name in HARMLESS else (1, "fail"))
    assert fix.lower() in finding["fix"].lower()
    if outside is not None:
        seen = await operator.doctor("--json", without=[TOKEN])
        assert (seen.code, seen.findings[outside[0]]["status"]) == (1, "fail")
        assert outside[1] in seen.findings[outside[0]]["fix"]

    applied = await operator.bff_okta("apply", "--yes")
    assert applied.code == (0 if fixed else 2), applied.stdout + applied.stderr
    operator.environ.pop("BFF_CLIENT_SECRET", None)  # the env file has an active one now
    assert (await operator.bff_okta("plan")).code == (0 if fixed else 2)


async def test_every_wrong_property_of_an_app_is_fixed_in_one_run(operator: Operator) -> None:
    client_id = await operator.apply()
    expected = {name for _, name, _ in [*WRONG, *WRONG_CREDENTIALS]} - {"refresh_token_leeway"}

    def damage(app: Json) -> None:
        for change, _, _ in WRONG:
            client_of(app).update(change)
        client_of(app).update(
            idp_initiated_login={"mode": "DISABLED"},
            grant_types=["authorization_code", "implicit"],
            refresh_token={"rotation_type": "STATIC", "leeway": 30},
        )
        for change, _, _ in WRONG_CREDENTIALS:
            app["credentials"]["oauthClient"].update(change)

    await operator.change_app(client_id, damage)
    planned = await operator.bff_okta("plan", "--json")
    assert planned.differences.keys() == expected
    seen = await operator.doctor("--json")
    assert {f"okta.{name}" for name in expected - {"refresh_token_rotation"}} <= seen.findings.keys()
    assert seen.findings["refresh_token_rotation"]["status"] == "fail"
    assert (await operator.bff_okta("apply")).code == 0
    assert (await operator.bff_okta("plan")).code == 0
    assert (await operator.doctor("--json")).json["healthy"]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"BFF_CLIENT_ID": "0oaofanotherorg00001"}, ("0oaofanotherorg00001", "BFF_OKTA_ORG_URL")),
        ({"BFF_OKTA_ORG_URL": "https://x-admin.okta.com"}, ("BFF_OKTA_ORG_URL",)),
        ({"BFF_OKTA_ORG_URL": "https://{yourOktaDomain}"}, ("BFF_OKTA_ORG_URL",)),
        ({"BFF_OKTA_ORG_URL": "https://x.okta.com/oauth2/default"}, ("BFF_OKTA_ORG_URL",)),
    ],
)
async def test_settings_of_another_org_are_an_error(
    operator: Operator, changes: dict[str, str], words: tuple[str, ...]
) -> None:
    operator.environ |= changes
    planned = await operator.bff_okta("plan")
    assert (planned.code, planned.stdout) == (1, "")
    for word in words:
        assert word in planned.stderr


async def test_an_issuer_that_no_server_has_is_named(operator: Operator) -> None:
    operator.environ["BFF_ISSUER"] = f"{operator.okta.base_url}/oauth2/aus0000000000000gone"
    planned = await operator.bff_okta("plan", "--json")
    assert planned.code == 2
    assert planned.differences["authorization_server"]["by"] == "manual"


async def test_the_org_authorization_server_needs_no_access_policy(operator: Operator) -> None:
    operator.environ["BFF_ISSUER"] = operator.okta.org_issuer
    await operator.apply()
    assert (await operator.bff_okta("plan")).code == 0
    assert operator.okta.control.management.policies == {}


async def test_no_access_policy_is_created_if_the_settings_forbid_it(operator: Operator) -> None:
    operator.environ["BFF_OKTA_ACCESS_POLICY"] = "false"
    applied = await operator.bff_okta("apply")
    assert applied.code == 2
    assert "! access_policy" in applied.stdout
    assert operator.okta.control.management.policies == {}


async def test_unknown_redirect_uris_are_removed_only_with_prune(operator: Operator) -> None:
    client_id = await operator.apply()
    other = "https://staging.example.com/cb"
    await operator.change_app(client_id, lambda app: client_of(app)["redirect_uris"].append(other))
    assert f"{other}: kept" in (await operator.bff_okta("plan")).stdout
    assert (await operator.bff_okta("plan", "--prune")).code == 2
    assert (await operator.bff_okta("apply", "--prune")).code == 0
    kept = client_of(await operator.api("GET", f"apps/{client_id}"))
    assert kept["redirect_uris"] == [f"{PUBLIC_URL}/authorization-code/callback"]


async def test_of_two_apps_with_one_label_none_is_chosen(operator: Operator) -> None:
    app = await operator.api("GET", f"apps/{await operator.apply()}")
    app["credentials"]["oauthClient"].pop("client_id")
    await operator.api("POST", "apps", app)
    operator.env_file.unlink()
    planned = await operator.bff_okta("plan")
    assert planned.code == 1
    assert "2 app integrations have the label" in planned.stderr
    assert "BFF_CLIENT_ID" in planned.stderr


async def test_an_app_is_found_on_the_last_page_by_a_chosen_client_id(tmp_path: Path) -> None:
    async with empty_org(tmp_path) as operator:
        operator.okta.control.management.largest_page = 3
        for number in range(7):
            await operator.api("POST", "apps", app_body(f"App {number}"))
        await operator.api("POST", "apps", app_body("The last", {"client_id": "a-chosen-client-id"}))
        operator.environ["BFF_CLIENT_ID"] = "a-chosen-client-id"
        app = (await operator.bff_okta("plan", "--json")).json["app"]
        assert (app["label"], app["client_id"]) == ("The last", "a-chosen-client-id")
