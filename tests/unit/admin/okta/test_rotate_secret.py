"""`bff okta rotate-secret`: the second secret is made, proved and written; the first is retired on request."""

import base64
from pathlib import Path

import pytest

from bff.admin.okta.client_secrets import classify
from bff.oidc.token import Denied, Granted, NoAnswer, Postponed, TokenResponse, TokenResult
from demo.simulator.app_integrations import AppIntegration
from tests.harness.plain_http import plain_http
from tests.unit.admin.okta.org import Operator

AT_ONCE = ("--retry-pause", "0")


async def app_of(operator: Operator) -> AppIntegration:
    app = operator.okta.control.apps.of_client(await operator.apply())
    assert app is not None
    return app


async def accepted(operator: Operator, client_id: str, secret: str) -> bool:
    """Whether the token endpoint believes this secret, asked by hand."""
    basic = base64.b64encode(f"{client_id}:{secret}".encode()).decode()
    async with plain_http() as http:
        answer = await http.post(
            f"{operator.okta.issuer}/v1/token",
            headers={"authorization": f"Basic {basic}"},
            data={"grant_type": "refresh_token", "refresh_token": "none"},
        )
    return bool(answer.json()["error"] != "invalid_client")


async def test_a_secret_is_replaced_without_a_moment_in_which_none_works(operator: Operator) -> None:
    app = await app_of(operator)
    client_id, old = operator.held()["BFF_CLIENT_ID"], operator.held()["BFF_CLIENT_SECRET"]

    rotated = await operator.okta_command("rotate-secret", "--json")
    assert rotated.code == 0, rotated.stderr
    new = operator.held()["BFF_CLIENT_SECRET"]
    assert new != old
    assert (rotated.json["created"], rotated.json["verified"]) == (True, True)
    assert [secret.active for secret in app.secrets] == [True, True]
    assert await accepted(operator, client_id, old)
    assert await accepted(operator, client_id, new)
    assert operator.env_file.stat().st_mode & 0o777 == 0o600

    retired = await operator.okta_command("rotate-secret", "--retire")
    assert retired.code == 0, retired.stderr
    assert not await accepted(operator, client_id, old)
    assert await accepted(operator, client_id, new)
    assert (await operator.okta_command("plan")).code == 0

    deleted = await operator.okta_command("rotate-secret", "--retire")
    assert "Deleted" in deleted.stdout
    assert [secret.value for secret in app.secrets] == [new]


async def test_a_run_that_broke_off_is_taken_up_and_no_third_secret_is_asked_for(operator: Operator) -> None:
    app = await app_of(operator)
    operator.okta.control.fault("server_error", times=50)
    broken = await operator.okta_command("rotate-secret", *AT_ONCE)
    assert broken.code == 1
    assert "continues with the secret that was created" in broken.stderr
    assert operator.held()["BFF_CLIENT_SECRET"] == app.secrets[0].value  # not written: not proved
    operator.okta.control.clear_faults()
    again = await operator.okta_command("rotate-secret", "--json")
    assert (again.code, again.json["created"]) == (0, False)
    assert operator.held()["BFF_CLIENT_SECRET"] == app.secrets[1].value


async def test_a_dead_secret_makes_room_for_the_next_rotation(operator: Operator) -> None:
    app = await app_of(operator)
    await operator.okta_command("rotate-secret")
    await operator.okta_command("rotate-secret", "--retire")
    kept = operator.held()["BFF_CLIENT_SECRET"]
    assert (await operator.okta_command("rotate-secret")).code == 0
    assert [secret.value for secret in app.secrets] == [kept, operator.held()["BFF_CLIENT_SECRET"]]


async def test_a_new_secret_that_the_token_endpoint_refuses_is_not_written(operator: Operator) -> None:
    await app_of(operator)
    old = operator.env_file.read_text()
    operator.okta.control.fault("invalid_client", times=50)
    refused = await operator.okta_command("rotate-secret", *AT_ONCE)
    assert refused.code == 1
    assert "the old secret stays valid" in refused.stderr
    assert operator.env_file.read_text() == old


async def test_a_secret_that_is_known_everywhere_only_after_a_moment_is_asked_about_again(operator: Operator) -> None:
    await app_of(operator)
    operator.okta.control.fault("invalid_client", times=2)
    assert (await operator.okta_command("rotate-secret", *AT_ONCE)).code == 0


async def test_the_old_secret_is_not_retired_while_the_settings_still_hold_it(operator: Operator) -> None:
    app = await app_of(operator)
    operator.environ["BFF_CLIENT_SECRET"] = app.secrets[0].value
    assert (await operator.okta_command("rotate-secret")).code == 0
    refused = await operator.okta_command("rotate-secret", "--retire")
    assert refused.code == 1
    assert "Deploy the new secret first" in refused.stderr
    assert [secret.active for secret in app.secrets] == [True, True]
    operator.environ["BFF_CLIENT_SECRET"] = app.secrets[1].value
    assert (await operator.okta_command("rotate-secret", "--retire")).code == 0


async def test_the_only_secret_is_never_retired(operator: Operator) -> None:
    app = await app_of(operator)
    kept = await operator.okta_command("rotate-secret", "--retire")
    assert kept.code == 0
    assert "no old secret to deactivate" in kept.stdout
    assert [secret.active for secret in app.secrets] == [True]


async def test_with_a_key_there_is_no_secret_to_rotate(operator: Operator, key_file: Path) -> None:
    operator.environ |= {"BFF_CLIENT_AUTH": "private_key_jwt", "BFF_CLIENT_PRIVATE_KEY_FILE": str(key_file)}
    await operator.apply()
    refused = await operator.okta_command("rotate-secret")
    assert refused.code == 1
    assert "private_key_jwt" in refused.stderr


async def test_without_an_app_the_fix_is_apply(operator: Operator) -> None:
    for command in ("show", "rotate-secret"):
        done = await operator.okta_command(command)
        assert done.code == 1
        assert "Run `bff okta apply`" in done.stderr


async def test_the_secret_is_written_into_the_secret_file_and_printed_on_request_only(
    operator: Operator, tmp_path: Path
) -> None:
    app = await app_of(operator)
    done = await operator.okta_command("rotate-secret", "--secret-file", str(tmp_path / "secret"))
    assert done.code == 0
    assert (tmp_path / "secret").read_text().strip() == app.secrets[1].value
    shown = await operator.okta_command("rotate-secret", "--show-secret", shows_secret=True)
    assert app.secrets[1].value in shown.stdout


@pytest.mark.parametrize(
    ("answer", "verdict"),
    [
        pytest.param(Denied(400, "invalid_grant"), "accepted", id="the-grant-was-looked-at"),
        pytest.param(Denied(401, "access_denied"), "accepted", id="the-policy-was-looked-at"),
        pytest.param(Denied(400, "unauthorized_client"), "accepted", id="the-apps-grants-were-looked-at"),
        pytest.param(Granted(TokenResponse("a", 60)), "accepted", id="it-cannot-be-and-proves-it-too"),
        pytest.param(Denied(401, "invalid_client"), "refused", id="invalid-client"),
        pytest.param(Denied(400, "invalid_client"), "refused", id="invalid-client-with-400"),
        pytest.param(Denied(404, "not_found"), "unknown", id="not-the-token-endpoint"),
        pytest.param(Postponed(3), "unknown", id="too-many-requests"),
        pytest.param(NoAnswer(True), "unknown", id="no-answer"),
    ],
)
def test_what_an_answer_says_about_the_credentials(answer: TokenResult, verdict: str) -> None:
    assert classify(answer) == verdict
