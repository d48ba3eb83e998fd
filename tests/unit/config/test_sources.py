"""Where values come from, which one wins, and names that nobody knows."""

import json
from pathlib import Path

import pytest

from bff.config.env_file import read_env_file
from bff.config.section import leaves
from bff.config.settings import SECRETS, Settings, load_settings
from bff.config.sources import gather, named_files, secret_file
from tests.harness.minting import EC_KEY, private_jwk
from tests.harness.settings import CLIENT_SECRET, KEY, OLD_KEY, RIGHT, problems, with_changes

TOML = """
issuer = "https://example.okta.com"
client_id = "from-the-file"
client_secret_file = "{folder}/secret"
public_url = "https://app.example.com"
session_keys = ["{key}", "{old_key}"]
idle_timeout = 1800

[[routes]]
prefix = "/api"
upstream = "https://api.internal"
methods = ["GET"]
"""


@pytest.fixture
def toml(tmp_path: Path) -> Path:
    (tmp_path / "secret").write_text(f"  {CLIENT_SECRET}\r\n")
    path = tmp_path / "bff.toml"
    path.write_text(TOML.format(folder=tmp_path, key=KEY, old_key=OLD_KEY))
    return path


def test_a_file_alone_is_enough(toml: Path) -> None:
    settings = load_settings({}, toml)
    assert (settings.provider.client_id, settings.session.idle_timeout, len(settings.session.keys)) == (
        "from-the-file",
        1800,
        2,
    )
    assert settings.provider.client_secret is not None
    assert settings.provider.client_secret.get_secret_value() == CLIENT_SECRET
    assert settings.routes[0].methods == ("GET",)


def test_the_environment_wins_over_the_file(toml: Path) -> None:
    environ = {"BFF_CLIENT_ID": "from-the-environment", "BFF_CLIENT_SECRET": "another-client-secret"}
    settings = load_settings(environ, toml)
    assert settings.provider.client_id == "from-the-environment"
    assert settings.provider.client_secret is not None
    assert settings.provider.client_secret.get_secret_value() == "another-client-secret"
    assert settings.session.idle_timeout == 1800


def test_bff_config_names_the_file(toml: Path) -> None:
    assert load_settings({"BFF_CONFIG": str(toml)}).provider.client_id == "from-the-file"


def test_bff_toml_in_the_current_directory_is_read_if_it_exists(toml: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(toml.parent)
    assert load_settings({}).provider.client_id == "from-the-file"
    toml.unlink()
    assert "BFF_CLIENT_ID" in problems({})


def test_a_file_that_was_named_must_be_there(tmp_path: Path) -> None:
    reported = problems({**RIGHT, "BFF_CONFIG": str(tmp_path / "nowhere.toml")})
    assert list(reported) == ["BFF_CONFIG"]


@pytest.mark.parametrize("content", [b"issuer = ", b"[[routes]", b"issuer = 'a'\nissuer = 'b'", b"\xff\xfe"])
def test_a_malformed_file_is_a_configuration_error(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "bff.toml"
    path.write_bytes(content)
    assert list(problems(RIGHT, path)) == [str(path)]


@pytest.mark.parametrize(
    ("line", "guess"),
    [
        *[("idle_timeot = 3", "idle_timeout"), ("ISSUER = 'x'", "issuer"), ("session_key = 'canary'", "session_keys")],
        *[
            ("zzz = 1", "bff docs settings"),
            ("issuer_file = 'x'", "issuer"),
            ("[bff]\nissuer = 'x'", "bff docs settings"),
        ],
    ],
)
def test_an_unknown_key_in_the_file_gets_a_guess(toml: Path, line: str, guess: str) -> None:
    toml.write_text(f"{line}\n" if line.startswith("[") else f"{line}\n{toml.read_text()}")
    reported = problems({} if not line.startswith("[") else RIGHT, toml)
    (name,) = reported
    assert str(toml) in name
    assert guess in reported[name]
    assert "canary" not in reported[name]


GUESSES = {
    "BFF_ISUER": "BFF_ISSUER",
    "BFF_SESSION_KEY": "BFF_SESSION_KEYS",
    "BFF_CLIENT_SECRET_FIEL": "BFF_CLIENT_SECRET_FILE",
    "BFF_IDLE_TIMEOUT_FILE": "BFF_IDLE_TIMEOUT",
    "BFF_issuer": "BFF_ISSUER",
    "Bff_Store": "BFF_STORE",
    "BFF_": "bff docs settings",
}


@pytest.mark.parametrize("name", GUESSES)
def test_an_unknown_variable_gets_a_guess(name: str) -> None:
    reported = problems({**RIGHT, name: "canary"})
    assert list(reported) == [name]
    assert GUESSES[name] in reported[name]
    assert "canary" not in reported[name]


def test_variables_of_other_programs_are_ignored() -> None:
    load_settings({**RIGHT, "HTTPS_PROXY": "http://proxy", "XBFF_ISSUER": "x", "ISSUER": "x", "PATH": "/bin"})


def test_an_empty_variable_is_not_set_but_an_empty_list_is_empty(toml: Path) -> None:
    toml.write_text("allowed_origins = ['https://a.example']\n" + toml.read_text())
    settings = load_settings({"BFF_IDLE_TIMEOUT": "", "BFF_CLIENT_ID": ""}, toml)
    assert (settings.session.idle_timeout, settings.provider.client_id) == (1800, "from-the-file")
    assert settings.browser.allowed_origins == ("https://a.example",)
    assert load_settings({"BFF_ALLOWED_ORIGINS": ""}, toml).browser.allowed_origins == ()


def test_json_whose_quotes_a_shell_removed_is_refused_with_the_fix(tmp_path: Path) -> None:
    path = tmp_path / "env"
    path.write_text('BFF_ROUTES=[{"prefix": "/api", "upstream": "https://api.internal"}]\n')
    [problem] = problems({**RIGHT, "BFF_ROUTES": read_env_file(path)["BFF_ROUTES"]}).values()
    assert "is not JSON" in problem
    assert "single quotes" in problem


def test_true_is_no_number(toml: Path) -> None:
    toml.write_text("clock_skew = true\n" + toml.read_text())
    assert list(problems({}, toml)) == [f"clock_skew ({toml})"]


@pytest.mark.parametrize("name", sorted(SECRETS))
def test_every_secret_can_come_from_a_file(tmp_path: Path, name: str) -> None:
    leaf = leaves(Settings)[name]
    values = {"session_keys": f"{KEY}\n{OLD_KEY}\n", "store": "redis://:pw@redis.internal\n"}
    values["provider_proxy"] = "http://user:pw@proxy.internal:3128"
    values["decryption_keys"] = values["assertion_keys"] = json.dumps(private_jwk(EC_KEY), indent=1) + "\n"
    path = tmp_path / "secret"
    path.write_text(values.get(name, "a-secret-from-a-file\n"))
    environ = {**with_changes(**{name: None}), f"BFF_{name.upper()}_FILE": str(path)}
    if name == "store_credentials":
        environ["BFF_STORE"] = "redis://redis.internal"
    if name.endswith("client_private_key"):
        assert list(problems(environ)) == [f"BFF_{name.upper()}_FILE"]
    else:
        shown = str(leaf.value_in(load_settings(environ)))
        assert shown not in {"", "None", str(leaf.field.default)}


@pytest.mark.parametrize("content", [b"", b" \n", b"\xff\xff", b"x" * 70_000, None])
def test_a_secret_file_without_a_secret_is_one_problem(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "secret"
    if content is not None:
        path.write_bytes(content)
    environ = {**with_changes(client_secret=None), "BFF_CLIENT_SECRET_FILE": str(path)}
    assert list(problems(environ)) == ["BFF_CLIENT_SECRET_FILE"]


def test_a_secret_and_its_file_exclude_each_other(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("x")
    reported = problems({**RIGHT, "BFF_CLIENT_SECRET_FILE": str(tmp_path / "secret")})
    assert reported == {"BFF_CLIENT_SECRET and BFF_CLIENT_SECRET_FILE": "are both set. Keep one of them."}


def test_the_files_that_a_reload_watches(toml: Path) -> None:
    environ = {"BFF_SESSION_KEYS_FILE": "/run/keys"}
    assert set(named_files(environ, toml, SECRETS)) >= {toml, Path("/run/keys"), toml.parent / "secret"}
    assert secret_file(environ, toml, "client_secret") == toml.parent / "secret"
    assert secret_file(RIGHT, None, "client_secret") is None
    gathered = gather({"BFF_ISSUER": "x"}, toml, leaves(Settings))
    assert gathered.names["issuer"] == "BFF_ISSUER"
