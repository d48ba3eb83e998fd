"""The settings that only `bff okta` reads."""

import asyncio
from pathlib import Path

import pytest

from bff.admin.okta.connection import read_plan
from bff.admin.okta.settings import load_okta_settings
from bff.base64url import encode_base64url
from bff.config.settings import load_settings
from bff.session.keyring import new_key
from tests.unit.admin.okta.org import API_TOKEN, Operator


@pytest.mark.parametrize(
    ("changes", "setting", "fix"),
    [
        ({"BFF_OKTA_API_TOKEN": ""}, "BFF_OKTA_API_TOKEN", "BFF_OKTA_API_TOKEN_FILE"),
        ({"BFF_OKTA_SERVICE_CLIENT_ID": "0oax"}, "BFF_OKTA_API_TOKEN", "Keep one"),
        ({"BFF_OKTA_API_TOKEN": "", "BFF_OKTA_SERVICE_CLIENT_ID": "0oax"}, "BFF_OKTA_SERVICE_PRIVATE_KEY", "_FILE"),
        ({"BFF_OKTA_GROUP": "Everyone"}, "BFF_OKTA_GROUP", "BFF_OKTA_GROUPS"),
        ({"BFF_OKTA_TRUSTED_ORIGINS": "*"}, "BFF_OKTA_TRUSTED_ORIGINS[0]", "exactly"),
        ({"BFF_OKTA_DEVELOPMENT_URLS": "http://localhost:3000/"}, "BFF_OKTA_DEVELOPMENT_URLS[0]", "without anything"),
        ({"BFF_PUBLIC_URL": ""}, "BFF_PUBLIC_URL", "https://app.example.com"),
        ({"BFF_PROVIDER_CA_FILE": __file__}, "BFF_PROVIDER_CA_FILE", "PEM"),
    ],
)
async def test_a_wrong_setting_is_told_like_those_of_the_bff(
    operator: Operator, changes: dict[str, str], setting: str, fix: str
) -> None:
    operator.environ |= changes
    done = await operator.okta_command("plan")
    assert (done.code, done.stdout) == (1, "")
    lines = [line.strip() for line in done.stderr.splitlines()[1:]]
    assert any(line.startswith(f"{setting}: ") and fix in line for line in lines), done.stderr


async def test_the_okta_table_of_the_file_is_for_this_command_alone(operator: Operator, tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text(f"{API_TOKEN}\n")
    lines = [
        f'issuer = "{operator.okta.issuer}"',
        'public_url = "https://app.example.com"',
        "[okta]",
        f'api_token_file = "{token}"',
        'groups = ["Everyone", "Buyers"]',
        'label = "The shop, in a file"',
    ]
    (tmp_path / "bff.toml").write_text("\n".join(lines))
    operator.environ = {}
    applied = await operator.okta_process("apply", "--json")
    assert applied.code == 0, applied.stderr
    (app,) = operator.okta.control.apps
    assert app.kept["label"] == "The shop, in a file"
    assert len(app.groups) == 2
    shown = await operator.okta_process("show", "--json")
    assert shown.json["label"] == "The shop, in a file"
    assert [sorted(secret) for secret in shown.json["secrets"]] == [["created", "id", "status"]]


async def test_what_differs_can_be_asked_for_without_the_command_line(operator: Operator) -> None:
    await operator.apply()
    environ = {**operator.environ, **operator.held()}
    settings = load_settings(environ, placeholders={"session_keys": encode_base64url(new_key())})
    planned = await asyncio.to_thread(read_plan, settings, load_okta_settings(environ))
    assert planned.findings.differences == ()
    assert planned.view.client_id == operator.held()["BFF_CLIENT_ID"]
