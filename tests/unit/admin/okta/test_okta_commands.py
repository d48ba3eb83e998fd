"""`bff okta apply` and `bff okta show`: idempotent, careful with the apps of others, and discreet."""

import json
import stat
from pathlib import Path

import pytest

from bff.cli.okta.context import DEFAULT_ENV_FILE, OktaOptions
from tests.harness.okta_org import API_TOKEN, Json, Operator, app_body, client_of


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


async def test_a_second_run_writes_nothing(operator: Operator) -> None:
    await operator.apply()
    operator.okta.control.management.requests.clear()
    before = operator.env_file.stat()
    again = await operator.bff_okta("apply", "--json")
    assert (again.code, again.json["created"], again.json["changed"], again.json["written"]) == (0, False, [], None)
    assert operator.writes() == []
    assert operator.env_file.stat().st_mtime_ns == before.st_mtime_ns


async def test_the_app_is_found_by_its_label_when_the_file_is_gone(operator: Operator) -> None:
    client_id = await operator.apply()
    secret = operator.held()["BFF_CLIENT_SECRET"]
    operator.env_file.unlink()
    assert await operator.apply() == client_id
    assert operator.held() == {"BFF_CLIENT_ID": client_id, "BFF_CLIENT_SECRET": secret}


# --- an app that somebody else made


async def somebodys_app(operator: Operator) -> str:
    made = await operator.api("POST", "apps", app_body("Shop", grant_types=["authorization_code", "password"]))
    operator.environ["BFF_CLIENT_ID"] = made["id"]
    operator.okta.control.management.requests.clear()
    return str(made["id"])


async def test_an_app_of_somebody_else_is_not_changed_without_asking(operator: Operator) -> None:
    await somebodys_app(operator)
    refused = await operator.bff_okta("apply")
    assert refused.code == 1
    assert "did not create the app integration 'Shop'" in refused.stderr
    assert "--yes" in refused.stderr
    assert operator.writes() == []
    assert not operator.env_file.exists()


@pytest.mark.parametrize(("answer", "code"), [("y\n", 0), ("\n", 1), ("no\n", 1)])
async def test_on_a_terminal_the_difference_is_shown_and_the_question_asked(
    operator: Operator, answer: str, code: int
) -> None:
    await somebodys_app(operator)
    done = await operator.bff_okta("apply", terminal_input=answer)
    assert done.code == code, done.stderr
    assert "~ initiate_login_uri" in done.stdout
    assert "Change it? [y/N]" in done.stdout
    assert bool(operator.writes()) is (code == 0)


async def test_once_agreed_to_the_app_is_ours(operator: Operator) -> None:
    client_id = await somebodys_app(operator)
    assert (await operator.bff_okta("apply", "--yes")).code == 0
    after = client_of(await operator.api("GET", f"apps/{client_id}"))
    assert after["grant_types"] == ["authorization_code", "refresh_token"]
    await operator.change_app(client_id, lambda app: client_of(app).update(post_logout_redirect_uris=[]))
    assert (await operator.bff_okta("apply")).code == 0


# --- where the credentials go


def test_the_file_of_the_credentials(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def target(env_file: str | None = None, secret_file: str | None = None, *, show: bool = False) -> object:
        files = [Path(path) if path else None for path in (env_file, secret_file)]
        file = OktaOptions(None, *files, as_json=False, show_secret=show).credentials_file()
        return file and (file.path, file.content)

    monkeypatch.chdir(tmp_path)
    assert target() == (DEFAULT_ENV_FILE, "env")
    assert target("a.env") == (Path("a.env"), "env")
    assert target(None, "a-secret") == (Path("a-secret"), "secret")
    assert target(show=True) is None
    monkeypatch.setenv("BFF_CLIENT_SECRET_FILE", "/run/secret")
    assert target() == (Path("/run/secret"), "secret")


async def test_a_secret_file_holds_the_secret_alone_where_the_bff_reads_it(operator: Operator, tmp_path: Path) -> None:
    path = tmp_path / "run" / "client-secret"
    operator.environ["BFF_CLIENT_SECRET_FILE"] = str(path)
    done = await operator.bff_okta("apply", "--json")
    assert done.code == 0, done.stderr
    assert (done.json["written"], mode(path)) == (str(path), 0o600)
    assert path.read_text().strip() == operator.app(done.json["client_id"]).secrets[0].value
    operator.environ["BFF_CLIENT_ID"] = done.json["client_id"]
    assert (await operator.bff_okta("plan")).code == 0
    assert (await operator.bff_okta("apply", "--json")).json["written"] is None


async def test_the_secret_is_printed_only_on_request_and_then_written_nowhere(operator: Operator) -> None:
    done = await operator.bff_okta("apply", "--show-secret", "--json", shows_secret=True)
    assert done.json["client_secret"] == operator.app(done.json["client_id"]).secrets[0].value
    assert not operator.env_file.exists()


async def test_nothing_is_created_if_the_file_cannot_be_written(operator: Operator, tmp_path: Path) -> None:
    (tmp_path / "a-file").write_text("")
    done = await operator.bff_okta("apply", "--env-file", str(tmp_path / "a-file" / "okta.env"))
    assert done.code == 1
    assert "--env-file" in done.stderr
    assert operator.writes() == []


async def test_an_interrupted_run_is_continued(operator: Operator) -> None:
    okta = operator.okta.control
    okta.fault("server_error", endpoint="rules", times=2)  # the POST of the rule fails
    broken = await operator.bff_okta("apply")
    assert broken.code == 1
    assert "completed steps are not repeated" in broken.stderr
    okta.clear_faults()
    assert (await operator.bff_okta("apply")).code == 0
    assert (len(list(okta.apps)), len(okta.management.policies)) == (1, 1)
    assert (await operator.bff_okta("plan")).code == 0


async def test_private_key_jwt_registers_the_public_half_and_leaves_no_secret(
    operator: Operator, key_file: Path, other_key_file: Path
) -> None:
    operator.environ |= {"BFF_CLIENT_AUTH": "private_key_jwt", "BFF_CLIENT_PRIVATE_KEY_FILE": str(key_file)}
    client_id = await operator.apply()
    assert operator.held() == {"BFF_CLIENT_ID": client_id}
    assert operator.app(client_id).client.secrets == ()
    assert (await operator.bff_okta("plan")).code == 0
    operator.environ["BFF_CLIENT_PRIVATE_KEY_FILE"] = str(other_key_file)
    assert list((await operator.bff_okta("plan", "--json")).differences) == ["public_key"]
    await operator.apply()
    assert len({key["kid"] for key in operator.app(client_id).client.jwks}) == 2
    bodies: list[Json | None] = [body for _, _, body in operator.okta.control.management.requests]
    sent = json.dumps(bodies)
    assert '"n":' in sent
    for private_member in ("d", "p", "q", "dp", "dq", "qi"):
        assert f'"{private_member}":' not in sent


# --- the settings file, and what `show` prints


async def test_the_okta_table_of_the_settings_file_is_read(operator: Operator, tmp_path: Path) -> None:
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
    await operator.apply()
    (app,) = operator.okta.control.apps
    assert (app.kept["label"], len(app.groups)) == ("The shop, in a file", 2)
    shown = await operator.bff_okta("show", "--json")
    assert shown.json["label"] == "The shop, in a file"
    assert [sorted(secret) for secret in shown.json["secrets"]] == [["created", "id", "status"]]
    assert "The shop, in a file" in (await operator.bff_okta("show")).stdout


@pytest.mark.parametrize("command", ["show", "rotate-secret"])
async def test_without_an_app_the_fix_is_apply(operator: Operator, command: str) -> None:
    done = await operator.bff_okta(command)
    assert done.code == 1
    assert "Run `bff okta apply`" in done.stderr
