"""`bff okta apply`: idempotent, careful with what is not its own, and discreet."""

import json
import os
import pty
import stat
import subprocess
import sys
from asyncio import to_thread
from pathlib import Path

import pytest

from bff.admin.okta.app_integration import MARK
from tests.unit.admin.okta.org import PUBLIC_URL, Json, Operator, client_of


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def writes(operator: Operator) -> list[tuple[str, str]]:
    return [(method, path) for method, path, _ in operator.okta.control.management.requests if method != "GET"]


async def test_a_second_run_changes_nothing_and_writes_nothing(operator: Operator) -> None:
    await operator.apply()
    operator.okta.control.management.requests.clear()
    before = operator.env_file.stat()
    again = await operator.okta_command("apply", "--json")
    assert again.code == 0
    assert (again.json["created"], again.json["changed"], again.json["written"]) == (False, [], None)
    assert writes(operator) == []
    assert operator.env_file.stat().st_mtime_ns == before.st_mtime_ns


async def test_the_second_run_finds_the_app_by_its_label_when_the_file_is_gone(operator: Operator) -> None:
    client_id = await operator.apply()
    secret = operator.held()["BFF_CLIENT_SECRET"]
    operator.env_file.unlink()
    assert await operator.apply() == client_id
    assert operator.held() == {"BFF_CLIENT_ID": client_id, "BFF_CLIENT_SECRET": secret}


# --- an app that somebody else made


async def somebodys_app(operator: Operator) -> str:
    """An app with things that are not ours to know."""
    app = {
        "name": "oidc_client",
        "label": "Shop",
        "signOnMode": "OPENID_CONNECT",
        "visibility": {"autoSubmitToolbar": False, "hide": {"iOS": True, "web": False}},
        "profile": {"owner": "shop-team"},
        "settings": {
            "notes": {"admin": "Ask the shop team.", "enduser": "The shop"},
            "implicitAssignment": False,
            "property_of_tomorrow": {"a": [1]},
            "oauthClient": {
                "redirect_uris": ["https://shop.example.com/cb"],
                "post_logout_redirect_uris": [],
                "response_types": ["code"],
                "grant_types": ["authorization_code", "urn:ietf:params:oauth:grant-type:token-exchange", "password"],
                "tos_uri": "https://shop.example.com/terms",
                "logo_uri": "https://shop.example.com/logo.png",
                "another_property_of_tomorrow": "kept",
            },
        },
    }
    made = await operator.api("POST", "apps", app)
    operator.environ["BFF_CLIENT_ID"] = made["id"]
    operator.okta.control.management.requests.clear()
    return str(made["id"])


async def test_an_app_that_somebody_else_made_is_not_changed_without_asking(operator: Operator) -> None:
    await somebodys_app(operator)
    refused = await operator.okta_command("apply")
    assert refused.code == 1
    assert "did not create the app integration 'Shop'" in refused.stderr
    assert "--yes" in refused.stderr
    assert writes(operator) == []
    assert not operator.env_file.exists()


@pytest.mark.parametrize(("answer", "code", "changed"), [("y\n", 0, True), ("\n", 1, False), ("no\n", 1, False)])
async def test_on_a_terminal_the_difference_is_shown_and_the_question_asked(
    operator: Operator, answer: str, code: int, changed: bool
) -> None:
    await somebodys_app(operator)
    controlling, terminal = pty.openpty()
    try:
        os.write(controlling, answer.encode())
        done = await to_thread(
            subprocess.run,
            [sys.executable, "-m", "bff", "okta", "apply"],
            env={"PATH": "/usr/bin:/bin", **operator.environ},
            cwd=operator.here,
            stdin=terminal,
            capture_output=True,
            text=True,
            timeout=180,
            check=False,
        )
    finally:
        os.close(controlling)
        os.close(terminal)
    assert done.returncode == code, done.stderr
    assert "~ redirect_uris" in done.stdout
    assert "Change it? [y/N]" in done.stdout
    assert bool(writes(operator)) is changed


async def test_what_is_not_ours_is_read_and_put_back_as_it_was(operator: Operator) -> None:
    client_id = await somebodys_app(operator)
    before = await operator.api("GET", f"apps/{client_id}")
    assert (await operator.okta_command("apply", "--yes")).code == 0
    after = await operator.api("GET", f"apps/{client_id}")
    for name in ("label", "visibility", "profile"):
        assert after[name] == before[name]
    assert after["settings"]["property_of_tomorrow"] == {"a": [1]}
    assert after["settings"]["notes"] == {"admin": f"Ask the shop team.\n{MARK}", "enduser": "The shop"}
    was, now = client_of(before), client_of(after)
    for name in ("tos_uri", "logo_uri", "another_property_of_tomorrow"):
        assert now[name] == was[name]
    assert now["redirect_uris"] == ["https://shop.example.com/cb", f"{PUBLIC_URL}/authorization-code/callback"]
    # What somebody needs stays; what gives passwords away goes.
    assert now["grant_types"] == [
        "authorization_code",
        "urn:ietf:params:oauth:grant-type:token-exchange",
        "refresh_token",
    ]
    # Once agreed to, it is ours: the next change needs no question.
    await operator.change_app(client_id, lambda app: client_of(app).update(post_logout_redirect_uris=[]))
    assert (await operator.okta_command("apply")).code == 0


# --- where the credentials go


async def test_the_env_file_is_of_mode_0600_and_keeps_its_other_lines(operator: Operator, tmp_path: Path) -> None:
    operator.env_file.parent.mkdir()
    operator.env_file.write_text("# ours\nBFF_PUBLIC_URL=https://app.example.com\nexport BFF_CLIENT_ID=\n")
    operator.env_file.chmod(0o644)
    client_id = await operator.apply()
    lines = operator.env_file.read_text().splitlines()
    assert lines[:2] == ["# ours", "BFF_PUBLIC_URL=https://app.example.com"]
    assert lines[2] == f"BFF_CLIENT_ID={client_id}"
    assert lines[3].startswith("BFF_CLIENT_SECRET=")
    assert len(lines) == 4
    assert mode(operator.env_file) == 0o600
    assert sorted(path.name for path in operator.env_file.parent.iterdir()) == ["okta.env"]


async def test_a_secret_file_holds_the_secret_alone_and_is_where_the_bff_reads_it(
    operator: Operator, tmp_path: Path
) -> None:
    path = tmp_path / "run" / "client-secret"
    operator.environ["BFF_CLIENT_SECRET_FILE"] = str(path)
    done = await operator.okta_process("apply", "--json")
    assert done.code == 0, done.stderr
    assert (done.json["written"], mode(path)) == (str(path), 0o600)
    app = operator.okta.control.apps.of_client(done.json["client_id"])
    assert app is not None
    assert path.read_text().strip() == app.secrets[0].value
    operator.environ["BFF_CLIENT_ID"] = done.json["client_id"]
    assert (await operator.okta_process("plan")).code == 0
    # The app, its secret and its file are all there: nothing is made and nothing is written.
    assert (await operator.okta_process("apply", "--json")).json["written"] is None


async def test_without_anything_said_the_secret_goes_into_var(operator: Operator) -> None:
    done = await operator.okta_process("apply")
    assert done.code == 0, done.stderr
    assert mode(operator.here / "var" / "okta.env") == 0o600
    assert "var/okta.env (mode 0600)" in done.stdout


async def test_the_secret_is_printed_only_where_that_is_asked_for_and_then_written_nowhere(operator: Operator) -> None:
    done = await operator.okta_command("apply", "--show-secret", "--json", shows_secret=True)
    app = operator.okta.control.apps.of_client(done.json["client_id"])
    assert app is not None
    assert done.json["client_secret"] == app.secrets[0].value
    assert not operator.env_file.exists()


async def test_nothing_is_made_in_the_org_when_the_file_could_not_be_written(
    operator: Operator, tmp_path: Path
) -> None:
    (tmp_path / "a-file").write_text("")
    done = await operator.okta_command("apply", "--env-file", str(tmp_path / "a-file" / "okta.env"))
    assert done.code == 1
    assert "--env-file" in done.stderr
    assert writes(operator) == []


# --- a run that breaks off


async def test_a_run_that_breaks_off_is_taken_up_where_it_stopped(operator: Operator) -> None:
    okta = operator.okta.control
    okta.management.licensed = True
    okta.fault("server_error", endpoint="rules", times=2)  # the read of the rules is not reached; the POST fails
    broken = await operator.okta_command("apply")
    assert broken.code == 1
    assert "completed steps are not repeated" in broken.stderr
    okta.clear_faults()
    assert (await operator.okta_command("apply")).code == 0
    assert len(list(okta.apps)) == 1
    assert len(okta.management.policies) == 1
    assert (await operator.okta_command("plan")).code == 0


# --- private_key_jwt


async def test_the_public_half_of_the_clients_key_is_registered_and_no_secret_is_left(
    operator: Operator, key_file: Path
) -> None:
    operator.environ |= {"BFF_CLIENT_AUTH": "private_key_jwt", "BFF_CLIENT_PRIVATE_KEY_FILE": str(key_file)}
    client_id = await operator.apply()
    assert operator.held() == {"BFF_CLIENT_ID": client_id}
    app = operator.okta.control.apps.of_client(client_id)
    assert app is not None
    (key,) = app.client.jwks
    assert {"kty", "n", "e", "use", "alg", "kid"} == key.keys()
    assert app.client.secrets == ()
    assert (await operator.okta_command("plan")).code == 0


async def test_a_new_key_is_added_beside_the_old_one(operator: Operator, key_file: Path, other_key_file: Path) -> None:
    operator.environ |= {"BFF_CLIENT_AUTH": "private_key_jwt", "BFF_CLIENT_PRIVATE_KEY_FILE": str(key_file)}
    client_id = await operator.apply()
    operator.environ["BFF_CLIENT_PRIVATE_KEY_FILE"] = str(other_key_file)
    planned = await operator.okta_command("plan", "--json")
    assert [one["name"] for one in planned.json["differences"]] == ["public_key"]
    await operator.apply()
    app = operator.okta.control.apps.of_client(client_id)
    assert app is not None
    assert len({key["kid"] for key in app.client.jwks}) == 2


async def test_the_private_key_never_leaves(operator: Operator, key_file: Path) -> None:
    operator.environ |= {"BFF_CLIENT_AUTH": "private_key_jwt", "BFF_CLIENT_PRIVATE_KEY_FILE": str(key_file)}
    await operator.apply()
    bodies: list[Json | None] = [body for _, _, body in operator.okta.control.management.requests]
    text = json.dumps(bodies)
    assert '"n":' in text
    for member in ("d", "p", "q", "dp", "dq", "qi"):
        assert f'"{member}":' not in text


# --- the command line


@pytest.mark.parametrize(
    "arguments",
    [(), ("plam",), ("plan", "--tyop"), ("apply", "--api-token", "x"), ("apply", "--env-file", "a", "--show-secret")],
)
async def test_a_wrong_command_line_is_an_error_and_never_taken_for_a_difference(
    operator: Operator, arguments: tuple[str, ...]
) -> None:
    done = await operator.okta_process(*arguments)
    assert (done.code, done.stdout) == (1, "")
    assert "Usage: bff okta" in done.stderr
