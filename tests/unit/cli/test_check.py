"""`bff check`: valid settings end with 0, invalid ones with 1 and one line each; neither prints a secret."""

import json
from pathlib import Path

import pytest

from tests.harness.bff_command import call_bff
from tests.harness.settings import CLIENT_SECRET, KEY, RIGHT, with_changes

CANARY = "canary-that-must-not-be-printed"
PLAIN_UPSTREAM = json.dumps([{"prefix": "/api", "upstream": "http://api.internal"}])


def test_valid_settings_print_what_to_register_and_advice() -> None:
    done = call_bff("check", environ=RIGHT)
    assert (done.returncode, done.stderr) == (0, "")
    assert "https://app.example.com/authorization-code/callback" in done.stdout
    assert "Note: there are no routes" in done.stdout
    assert CLIENT_SECRET not in done.stdout
    assert KEY not in done.stdout


def test_another_provider_than_okta_is_not_called_okta() -> None:
    done = call_bff("check", environ=with_changes(issuer="https://kc.example.com/realms/one"))
    assert done.returncode == 0
    assert "Okta" not in done.stdout
    assert "back-channel logout URI:  https://app.example.com/auth/backchannel-logout" in done.stdout


# Settings, the name in the message, and a word of the fix.
INVALID: dict[str, tuple[dict[str, str | None], str, str]] = {
    "IT-023-no-issuer": ({"issuer": None}, "BFF_ISSUER", "Okta domain"),
    "OP-001-no-client-id": ({"client_id": None}, "BFF_CLIENT_ID", "client ID"),
    "OP-001-no-client-secret": ({"client_secret": None}, "BFF_CLIENT_SECRET", "BFF_CLIENT_SECRET_FILE"),
    "OP-001-no-public-url": ({"public_url": None}, "BFF_PUBLIC_URL", "https://app.example.com"),
    "OP-001-no-keys": ({"session_keys": None}, "BFF_SESSION_KEYS", "bff keys new"),
    "OP-002-changeme": ({"session_keys": "changeme"}, "BFF_SESSION_KEYS[0]", "bff keys new"),
    "http-public-url": ({"public_url": "http://app.example.com"}, "BFF_PUBLIC_URL", "https://app.example.com"),
    "misspelt": ({"idle_timeot": "60"}, "BFF_IDLE_TIMEOT", "BFF_IDLE_TIMEOUT"),
    "lease-too-short": ({"refresh_lease": "8"}, "BFF_REFRESH_LEASE", "8 and 10"),
    "store-unknown": ({"store": f"mysql://root:{CANARY}@db"}, "BFF_STORE", "redis://"),
    "wildcard-origin": ({"allowed_origins": "*"}, "BFF_ALLOWED_ORIGINS[0]", "exactly"),
    "http-upstream": ({"routes": PLAIN_UPSTREAM}, "BFF_ROUTES[0].allow_http", "https"),
    "symmetric-algorithm": ({"id_token_algorithms": "HS256"}, "BFF_ID_TOKEN_ALGORITHMS[0]", "RS256"),
    "no-such-ca-file": ({"provider_ca_file": "/nowhere"}, "BFF_PROVIDER_CA_FILE", "path"),
}


@pytest.mark.parametrize(("changes", "setting", "fix"), INVALID.values(), ids=INVALID)
@pytest.mark.parametrize("command", ["check", "serve"])
def test_an_invalid_setting_is_one_line_with_its_fix(
    command: str, changes: dict[str, str | None], setting: str, fix: str
) -> None:
    done = call_bff(command, environ=with_changes(**changes))
    heading, line = done.stderr.splitlines()
    assert (done.returncode, done.stdout) == (1, "")
    assert heading == "The configuration is wrong (1 problem):"
    assert line.startswith(f"  {setting}: ")
    assert fix in line
    for secret in (CANARY, CLIENT_SECRET, KEY):
        assert secret not in done.stderr


def test_every_problem_is_printed_at_once() -> None:
    done = call_bff("check", environ={"BFF_IDLE_TIMEOUT": "never", "BFF_CLIENT_SECRET_FILE": "/nowhere"})
    assert [line.split(":")[0].strip() for line in done.stderr.splitlines()[1:]] == [
        "BFF_CLIENT_SECRET_FILE",
        "BFF_ISSUER",
        "BFF_CLIENT_ID",
        "BFF_PUBLIC_URL",
        "BFF_SESSION_KEYS",
        "BFF_IDLE_TIMEOUT",
    ]


def test_the_name_of_a_variable_cannot_act_on_the_terminal() -> None:
    done = call_bff("check", environ={**RIGHT, "BFF_\x1b[2J\u202e": "x"})
    assert r"BFF_\x1b[2J\u202e" in done.stderr


def test_config_names_the_file(tmp_path: Path) -> None:
    path = tmp_path / "other.toml"
    path.write_text("idle_timeout = 0\n")
    done = call_bff("check", "--config", str(path), environ=RIGHT)
    assert f"idle_timeout ({path}): should be greater than 0" in done.stderr
