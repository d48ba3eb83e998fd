"""Misconfigurations that people lose days to, each planted in the org, named by `bff okta plan` with its fix, and,
where the API can, fixed by `bff okta apply`."""

from pathlib import Path

import pytest

from tests.unit.admin.okta.misconfigurations import PLANTED, Plant
from tests.unit.admin.okta.org import PUBLIC_URL, Json, Operator, client_of, empty_org


@pytest.mark.parametrize(
    ("plant", "name", "fix", "fixed"), [pytest.param(*case, id=story) for story, case in PLANTED.items()]
)
async def test_a_planted_misconfiguration_is_named_with_its_fix(
    operator: Operator, plant: Plant, name: str, fix: str, fixed: bool
) -> None:
    client_id = await operator.apply()
    assert (await operator.okta_command("plan")).code == 0
    await plant(operator, client_id)

    planned = await operator.okta_command("plan", "--json")
    assert (planned.code, planned.json["differs"]) == (2, True)
    found = {one["name"]: one for one in planned.json["differences"]}
    assert name in found
    assert fix in found[name]["fix"]
    assert found[name]["why"]
    assert found[name]["by"] == ("apply" if fixed else "manual")

    applied = await operator.okta_command("apply", "--yes")
    assert applied.code == (0 if fixed else 2), applied.stdout + applied.stderr
    if name == "client_secret":
        # The settings still say the old one: they are the operator's, and the file has the right one now.
        operator.environ.pop("BFF_CLIENT_SECRET", None)
    assert (await operator.okta_command("plan")).code == (0 if fixed else 2)


async def test_the_readable_difference_says_what_is_there_what_is_wanted_and_how_to_get_there(
    operator: Operator,
) -> None:
    client_id = await operator.apply()
    await operator.change_app(client_id, lambda app: client_of(app)["refresh_token"].update(leeway=0))
    planned = await operator.okta_command("plan")
    lines = [line.strip() for line in planned.stdout.splitlines()]
    place = lines.index("~ refresh_token_leeway")
    assert lines[place + 1 : place + 3] == ["- 0", "+ 30"]
    assert "Terraform leaves it at 0" in lines[place + 3]
    assert "`bff okta apply` sets it; manually: Applications > this app" in lines[place + 4]
    assert lines[-1] == "1 difference."


async def test_proofs_of_possession_are_asked_of_the_app_as_the_settings_say(operator: Operator) -> None:
    await operator.apply()
    operator.environ["BFF_DPOP"] = "on"
    planned = await operator.okta_command("plan", "--json")
    assert [one["name"] for one in planned.json["differences"]] == ["dpop_bound_access_tokens"]
    assert "Proof of possession: on" in planned.json["differences"][0]["fix"]
    assert (await operator.okta_command("apply", "--yes")).code == 0
    assert (await operator.okta_command("plan")).code == 0


async def test_the_wrong_type_of_app_is_for_a_person_to_fix(operator: Operator) -> None:
    spa = {
        "name": "oidc_client",
        "label": "A single-page app",
        "signOnMode": "OPENID_CONNECT",
        "credentials": {"oauthClient": {"token_endpoint_auth_method": "none", "pkce_required": True}},
        "settings": {
            "oauthClient": {
                "application_type": "browser",
                "redirect_uris": [f"{PUBLIC_URL}/authorization-code/callback"],
                "response_types": ["code"],
                "grant_types": ["authorization_code", "refresh_token"],
            }
        },
    }
    operator.environ["BFF_CLIENT_ID"] = (await operator.api("POST", "apps", spa))["id"]
    planned = await operator.okta_command("plan", "--json")
    (wrong,) = [one for one in planned.json["differences"] if one["name"] == "application_type"]
    assert (planned.code, wrong["by"], wrong["actual"], wrong["expected"]) == (2, "manual", "browser", "web")
    assert "Web Application" in wrong["fix"]


async def test_a_client_id_of_another_org_is_an_error_with_its_fix(operator: Operator) -> None:
    operator.environ["BFF_CLIENT_ID"] = "0oaofanotherorg00001"
    planned = await operator.okta_command("plan")
    assert (planned.code, planned.stdout) == (1, "")
    assert "0oaofanotherorg00001" in planned.stderr
    assert "BFF_OKTA_ORG_URL" in planned.stderr


async def test_an_issuer_that_no_server_has_is_named(operator: Operator) -> None:
    operator.environ["BFF_ISSUER"] = f"{operator.okta.base_url}/oauth2/aus0000000000000gone"
    planned = await operator.okta_command("plan", "--json")
    assert planned.code == 2
    assert "authorization_server" in [one["name"] for one in planned.json["differences"]]


async def test_the_orgs_own_server_needs_no_access_policy(operator: Operator) -> None:
    operator.environ["BFF_ISSUER"] = operator.okta.org_issuer
    await operator.apply()
    assert (await operator.okta_command("plan")).code == 0
    assert operator.okta.control.management.policies == {}


async def test_an_access_policy_is_left_to_a_person_where_the_settings_say_so(operator: Operator) -> None:
    operator.environ["BFF_OKTA_ACCESS_POLICY"] = "false"
    applied = await operator.okta_command("apply")
    assert applied.code == 2
    assert "! access_policy" in applied.stdout
    assert operator.okta.control.management.policies == {}


async def test_what_the_app_also_has_is_noted_and_is_no_difference(operator: Operator) -> None:
    client_id = await operator.apply()

    def change(app: Json) -> None:
        client_of(app)["redirect_uris"].append("https://staging.example.com/cb")
        client_of(app)["network"] = {"connection": "ZONE", "include": ["nzo1"]}

    await operator.change_app(client_id, change)
    planned = await operator.okta_command("plan")
    assert planned.code == 0
    assert "https://staging.example.com/cb: kept" in planned.stdout
    assert "disallowed_network_zone" in planned.stdout
    assert "Universal Logout is off" in planned.stdout
    pruned = await operator.okta_command("plan", "--prune")
    assert pruned.code == 2
    assert (await operator.okta_command("apply", "--prune")).code == 0
    kept = client_of(await operator.api("GET", f"apps/{client_id}"))
    assert kept["redirect_uris"] == [f"{PUBLIC_URL}/authorization-code/callback"]


async def test_two_apps_of_one_label_are_not_guessed_between(operator: Operator, tmp_path: Path) -> None:
    client_id = await operator.apply()
    app = await operator.api("GET", f"apps/{client_id}")
    app["credentials"]["oauthClient"].pop("client_id")
    await operator.api("POST", "apps", app)
    operator.env_file.unlink()
    planned = await operator.okta_command("plan")
    assert planned.code == 1
    assert "2 app integrations have the label" in planned.stderr
    assert "BFF_CLIENT_ID" in planned.stderr


async def test_an_app_is_found_on_the_last_page_by_a_client_id_that_somebody_chose(tmp_path: Path) -> None:
    async with empty_org(tmp_path) as operator:
        operator.okta.control.management.largest_page = 3
        app = {
            "name": "oidc_client",
            "signOnMode": "OPENID_CONNECT",
            "settings": {
                "oauthClient": {
                    "redirect_uris": ["https://x.example.com/cb"],
                    "response_types": ["code"],
                    "grant_types": ["authorization_code"],
                }
            },
        }
        for number in range(7):
            await operator.api("POST", "apps", {**app, "label": f"App {number}"})
        chosen = {"oauthClient": {"client_id": "chosen-by-somebody"}}
        await operator.api("POST", "apps", {**app, "label": "The last", "credentials": chosen})
        operator.environ["BFF_CLIENT_ID"] = "chosen-by-somebody"
        planned = await operator.okta_command("plan", "--json")
        assert planned.json["app"]["label"] == "The last"
        assert planned.json["app"]["client_id"] == "chosen-by-somebody"
