"""The second client secret is created, verified and written; the first is retired on request."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from bff.admin.okta.api_error import OktaManagementError
from bff.admin.okta.client_secrets import TRIES, Verdict, classify, verify
from bff.admin.okta.connection import management_api
from bff.admin.okta.credentials_file import ClientCredentials, CredentialsFile
from bff.admin.okta.desired import Desired, placeholders
from bff.admin.okta.provision import find_app
from bff.admin.okta.rotate_secret import Retired, Rotation, retire_old, rotate
from bff.admin.okta.settings import load_okta_settings
from bff.config.settings import load_settings
from bff.oidc.token import Denied, Granted, NoAnswer, Postponed, TokenResponse, TokenResult
from demo.simulator.app_integrations import AppIntegration
from tests.harness.okta_org import Operator


class Rotating:
    """One app with one secret, and a token endpoint that gives `verdict` about each new one."""

    def __init__(self, operator: Operator, app: AppIntegration) -> None:
        self.operator, self.app = operator, app
        self.verdict: Verdict = "accepted"
        self.file = CredentialsFile(operator.env_file, "env")

    @property
    def desired(self) -> Desired:
        environ = {**self.operator.environ, **self.operator.held()}
        return Desired(load_settings(environ, placeholders=placeholders()), load_okta_settings(environ))

    def _call(self, function: Any, **more: Any) -> Any:
        desired = self.desired
        with management_api(desired) as api:
            return function(api, find_app(api, desired), **more, check=lambda _: self.verdict)

    async def rotate(self, **more: Any) -> Rotation:
        rotation: Rotation = await asyncio.to_thread(self._call, rotate, **{"target": self.file, **more})
        return rotation

    async def retire(self) -> Retired:
        retired: Retired = await asyncio.to_thread(self._call, retire_old, desired=self.desired)
        return retired

    async def verify(self, secret: str, waited: list[str]) -> Verdict:
        client_id = self.operator.held()["BFF_CLIENT_ID"]
        return await asyncio.to_thread(verify, self.desired, client_id, secret, pause=lambda: waited.append("pause"))

    @property
    def active(self) -> list[bool]:
        return [secret.active for secret in self.app.secrets]


@pytest.fixture
async def rotating(operator: Operator) -> Rotating:
    return Rotating(operator, await operator.applied_app())


async def test_a_secret_is_replaced_while_one_of_them_always_works(operator: Operator) -> None:
    app = await operator.applied_app()
    rotating = Rotating(operator, app)
    old = operator.held()["BFF_CLIENT_SECRET"]
    rotated = await operator.bff_okta("rotate-secret", "--json")
    assert (rotated.code, rotated.json["created"], rotated.json["verified"]) == (0, True, True), rotated.stderr
    new = operator.held()["BFF_CLIENT_SECRET"]
    assert new != old
    assert [await rotating.verify(secret, []) for secret in (old, new)] == ["accepted", "accepted"]
    assert operator.env_file.stat().st_mode & 0o777 == 0o600

    retired = await operator.bff_okta("rotate-secret", "--retire")
    assert retired.code == 0, retired.stderr
    assert [await rotating.verify(secret, []) for secret in (old, new)] == ["refused", "accepted"]
    assert (await operator.bff_okta("plan")).code == 0
    assert "Deleted" in (await operator.bff_okta("rotate-secret", "--retire")).stdout
    assert [secret.value for secret in app.secrets] == [new]


@pytest.mark.parametrize(
    ("verdict", "words"),
    [("refused", "the old secret stays valid"), ("unknown", "continues with the secret that was created")],
)
async def test_a_secret_that_is_not_verified_is_not_written_and_used_by_the_next_run(
    rotating: Rotating, verdict: Verdict, words: str
) -> None:
    before = rotating.operator.env_file.read_text()
    rotating.verdict = verdict
    with pytest.raises(OktaManagementError) as refused:
        await rotating.rotate()
    assert words in f"{refused.value.problem} {refused.value.fix}"
    assert rotating.operator.env_file.read_text() == before
    rotating.verdict = "accepted"
    assert not (await rotating.rotate()).created
    assert rotating.operator.held()["BFF_CLIENT_SECRET"] == rotating.app.secrets[1].value
    assert rotating.active == [True, True]


async def test_an_inactive_secret_makes_room_for_the_next_rotation(rotating: Rotating) -> None:
    await rotating.rotate()
    await rotating.retire()
    kept = rotating.operator.held()["BFF_CLIENT_SECRET"]
    await rotating.rotate()
    assert [secret.value for secret in rotating.app.secrets] == [kept, rotating.operator.held()["BFF_CLIENT_SECRET"]]


async def test_the_old_secret_is_not_retired_while_the_settings_hold_it(rotating: Rotating) -> None:
    held = rotating.operator.held()
    await rotating.rotate()
    new = rotating.operator.held()
    rotating.file.write(ClientCredentials(held["BFF_CLIENT_ID"], held["BFF_CLIENT_SECRET"]))
    with pytest.raises(OktaManagementError) as refused:
        await rotating.retire()
    assert "Deploy the new secret first" in refused.value.fix
    assert rotating.active == [True, True]
    rotating.file.write(ClientCredentials(new["BFF_CLIENT_ID"], new["BFF_CLIENT_SECRET"]))
    rotating.verdict = "refused"
    with pytest.raises(OktaManagementError):
        await rotating.retire()
    assert rotating.active == [True, True]


async def test_the_only_secret_is_never_retired(operator: Operator) -> None:
    app = await operator.applied_app()
    kept = await operator.bff_okta("rotate-secret", "--retire")
    assert kept.code == 0
    assert "no old secret to deactivate" in kept.stdout
    assert [secret.active for secret in app.secrets] == [True]


async def test_with_a_key_there_is_no_secret_to_rotate(operator: Operator, key_file: Path) -> None:
    operator.environ |= {"BFF_CLIENT_AUTH": "private_key_jwt", "BFF_CLIENT_PRIVATE_KEY_FILE": str(key_file)}
    await operator.apply()
    refused = await operator.bff_okta("rotate-secret")
    assert refused.code == 1
    assert "private_key_jwt" in refused.stderr


async def test_the_secret_is_written_into_a_secret_file_and_printed_on_request_only(
    operator: Operator, tmp_path: Path
) -> None:
    app = await operator.applied_app()
    assert (await operator.bff_okta("rotate-secret", "--secret-file", str(tmp_path / "secret"))).code == 0
    new = app.secrets[1].value
    assert (tmp_path / "secret").read_text().strip() == new
    assert new in (await operator.bff_okta("rotate-secret", "--show-secret", shows_secret=True)).stdout


async def test_a_secret_may_become_active_everywhere_only_after_a_moment(rotating: Rotating) -> None:
    secret, waited = rotating.operator.held()["BFF_CLIENT_SECRET"], list[str]()
    rotating.operator.okta.control.fault("invalid_client", times=2)
    assert await rotating.verify(secret, waited) == "accepted"
    assert len(waited) == 2
    rotating.operator.okta.control.fault("invalid_client", times=50)
    assert await rotating.verify(secret, waited) == "refused"
    assert len(waited) == 2 + TRIES - 1


@pytest.mark.parametrize(
    ("answer", "verdict"),
    [
        (Denied(400, "invalid_grant"), "accepted"),
        (Denied(401, "access_denied"), "accepted"),
        (Denied(400, "unauthorized_client"), "accepted"),
        (Granted(TokenResponse("a", 60)), "accepted"),
        (Denied(401, "invalid_client"), "refused"),
        (Denied(401, "unauthorized_client"), "refused"),
        (Denied(401, "unreadable"), "unknown"),
        (Denied(400, "unreadable"), "unknown"),
        (Denied(400, "unspecified"), "unknown"),
        (Denied(400, "invalid_client"), "refused"),
        (Denied(404, "not_found"), "unknown"),
        (Postponed(3), "unknown"),
        (NoAnswer(True), "unknown"),
    ],
)
def test_what_an_answer_says_about_the_credentials(answer: TokenResult, verdict: str) -> None:
    assert classify(answer) == verdict


@pytest.mark.parametrize(
    ("answer", "verdict"),
    [
        (Denied(400, "invalid_grant"), "accepted"),
        (Denied(403, "invalid_grant"), "accepted"),
        (Denied(401, "unauthorized_client"), "refused"),  # Keycloak, for a wrong secret
        (Denied(401, "access_denied"), "refused"),  # Auth0, for a wrong secret
        (Denied(400, "unauthorized_client"), "unknown"),
        (Denied(401, "use_dpop_nonce"), "unknown"),
        (Denied(400, "invalid_request"), "unknown"),
    ],
)
def test_elsewhere_only_invalid_grant_proves_that_credentials_are_accepted(answer: TokenResult, verdict: str) -> None:
    assert classify(answer, okta=False) == verdict
