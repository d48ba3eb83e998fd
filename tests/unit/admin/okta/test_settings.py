"""The settings that only `bff okta` reads."""

import pytest

from bff.admin.okta.settings import has_credentials, load_okta_settings
from bff.config.sources import ConfigurationErrors
from tests.harness.bff_command import call_bff
from tests.harness.okta_org import API_TOKEN
from tests.harness.settings import CLIENT_SECRET, RIGHT

ENVIRON = {**RIGHT, "BFF_OKTA_API_TOKEN": API_TOKEN}


@pytest.mark.parametrize(
    ("changes", "setting", "fix"),
    [
        ({"BFF_OKTA_API_TOKEN": ""}, "BFF_OKTA_API_TOKEN", "BFF_OKTA_API_TOKEN_FILE"),
        ({"BFF_OKTA_SERVICE_CLIENT_ID": "0oax"}, "BFF_OKTA_API_TOKEN", "Keep one"),
        ({"BFF_OKTA_API_TOKEN": "", "BFF_OKTA_SERVICE_CLIENT_ID": "0oax"}, "BFF_OKTA_SERVICE_PRIVATE_KEY", "_FILE"),
        ({"BFF_OKTA_GROUP": "Everyone"}, "BFF_OKTA_GROUP", "BFF_OKTA_GROUPS"),
        ({"BFF_OKTA_TRUSTED_ORIGINS": "*"}, "BFF_OKTA_TRUSTED_ORIGINS[0]", "exactly"),
        ({"BFF_OKTA_DEVELOPMENT_URLS": "http://localhost:3000/"}, "BFF_OKTA_DEVELOPMENT_URLS[0]", "without anything"),
    ],
)
def test_an_invalid_setting_is_named_with_its_fix(changes: dict[str, str], setting: str, fix: str) -> None:
    with pytest.raises(ConfigurationErrors) as refused:
        load_okta_settings(ENVIRON | changes)
    fixes = {problem.setting: f"{problem.problem} {problem.fix}" for problem in refused.value.problems}
    assert fix in fixes[setting]
    assert API_TOKEN not in str(refused.value)


@pytest.mark.parametrize(
    ("changes", "setting", "fix"),
    [
        ({"BFF_OKTA_API_TOKEN": ""}, "BFF_OKTA_API_TOKEN", "BFF_OKTA_API_TOKEN_FILE"),
        ({"BFF_PUBLIC_URL": ""}, "BFF_PUBLIC_URL", "https://app.example.com"),
        ({"BFF_PROVIDER_CA_FILE": __file__}, "BFF_PROVIDER_CA_FILE", "PEM"),
    ],
)
def test_the_command_prints_them_like_those_of_the_bff(changes: dict[str, str], setting: str, fix: str) -> None:
    done = call_bff("okta", "plan", environ=ENVIRON | changes)
    assert (done.returncode, done.stdout) == (1, "")
    lines = [line.strip() for line in done.stderr.splitlines()[1:]]
    assert any(line.startswith(f"{setting}: ") and fix in line for line in lines), done.stderr
    assert CLIENT_SECRET not in done.stderr


def test_credentials_are_found_even_if_they_are_invalid() -> None:
    assert not has_credentials(RIGHT)
    assert has_credentials(ENVIRON)
    assert has_credentials({**RIGHT, "BFF_OKTA_SERVICE_CLIENT_ID": "0oax"})
