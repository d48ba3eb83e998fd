"""`--env-file`: its variables, what overrides them, and files that cannot be used."""

from pathlib import Path

import pytest

from bff.cli import exit_codes
from bff.cli.options import environment, settings_from
from tests.harness.bff_command import call_bff
from tests.harness.settings import RIGHT


@pytest.fixture
def env_file(tmp_path: Path) -> Path:
    path = tmp_path / "bff.env"
    lines = [f"export {name}='{value}'" for name, value in RIGHT.items()]
    path.write_text("\n".join(["# a comment", *lines, "OTHER=1", ""]))
    return path


def test_the_environment_overrides_an_env_file(env_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert settings_from(None, env_file).browser.public_url == RIGHT["BFF_PUBLIC_URL"]
    monkeypatch.setenv("BFF_PUBLIC_URL", "https://other.example")
    assert settings_from(None, env_file).browser.public_url == "https://other.example"


def test_the_two_forms_of_a_secret_override_each_other(env_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As in `bff okta apply --env-file`, once BFF_CLIENT_SECRET_FILE is deployed."""
    monkeypatch.setenv("BFF_CLIENT_SECRET_FILE", "/run/secret")
    assert "BFF_CLIENT_SECRET" not in environment(env_file)
    env_file.write_text("BFF_SESSION_KEYS_FILE=/run/keys\n")
    monkeypatch.setenv("BFF_SESSION_KEYS", "a")
    assert "BFF_SESSION_KEYS_FILE" not in environment(env_file)


@pytest.mark.parametrize("command", ["check", "serve", "doctor", "routes"])
def test_an_env_file_that_cannot_be_used_is_a_configuration_error(command: str, tmp_path: Path) -> None:
    path = tmp_path / "bff.env"
    done = call_bff(command, "--env-file", str(path), environ=RIGHT)
    assert done.returncode == exit_codes.FAILED
    assert f"{path}: does not exist" in done.stderr


def test_options_before_a_subcommand_hold_for_it(env_file: Path) -> None:
    done = call_bff("routes", "--env-file", str(env_file), "explain", "GET", "/elsewhere")
    assert (done.returncode, done.stderr) == (1, "")
    assert "404 route_not_found" in done.stdout
