"""The client's secrets at Okta: at most two, both active, so that one can be replaced without a failed sign-in.

Create the second -> verify it -> deploy it -> deactivate the first. Okta refuses to deactivate the only active one.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final, Literal, TypeAlias, assert_never

from bff.admin.okta.api_error import OktaManagementError
from bff.admin.okta.desired import Desired
from bff.admin.okta.management_api import ManagementApi
from bff.oidc.client_auth import client_authentication
from bff.oidc.token import Denied, Granted, NoAnswer, Postponed, TokenResult
from bff.provider.client import HttpProvider
from bff.provider.connections import ProviderConnections

MAX_SECRETS: Final = 2
# No refresh token looks like this: the request cannot succeed, and only tests client authentication.
NO_TOKEN: Final = "bff-checks-its-client-credentials"
TRIES: Final = 5  # a new secret may take a moment to become active everywhere
ANSWER_TIMEOUT: Final = 10.0  # seconds

Verdict: TypeAlias = Literal["accepted", "refused", "unknown"]


@dataclass(frozen=True, slots=True)
class ClientSecret:
    id: str
    status: str
    created: str
    value: str = field(repr=False)

    @property
    def active(self) -> bool:
        return self.status == "ACTIVE"


def read(api: ManagementApi, app_id: str) -> tuple[ClientSecret, ...]:
    """Oldest first. Raises OktaManagementError."""
    secrets = [_secret(document) for document in api.pages(_path(app_id), limit=None)]
    return tuple(sorted(secrets, key=lambda secret: secret.created))


def create(api: ManagementApi, app_id: str) -> ClientSecret:
    """Okta generates the value. Raises OktaManagementError."""
    return _secret(api.post(_path(app_id), {"status": "ACTIVE"}))


def retire(api: ManagementApi, app_id: str, secret: ClientSecret) -> None:
    api.post(f"{_path(app_id)}/{secret.id}/lifecycle/deactivate")


def delete(api: ManagementApi, app_id: str, secret: ClientSecret) -> None:
    """The secret must be inactive. Raises OktaManagementError."""
    api.delete(f"{_path(app_id)}/{secret.id}")


def classify(answer: TokenResult, *, okta: bool = True) -> Verdict:
    """What the response to a refresh that cannot succeed says about the client's credentials.

    Only `invalid_grant` proves that they were accepted. Okta's error catalogue says more: there every other readable
    error comes after client authentication, a 401 `access_denied` (no access policy for this client) included.
    """
    match answer:
        case Granted():
            return "accepted"
        case Denied() if not answer.has_code:
            return "unknown"
        case Denied(401, "access_denied") if okta:
            return "accepted"
        case Denied() if answer.refuses_client:
            return "refused"
        case Denied() if answer.proves_client:
            return "accepted"
        case Denied(400 | 403) if okta:
            return "accepted"
        case Denied() | Postponed() | NoAnswer():
            return "unknown"
        case _:
            assert_never(answer)


def verify(desired: Desired, client_id: str, secret: str, *, pause: Callable[[], None]) -> Verdict:
    """Calls the token endpoint, as the running BFF would, with this secret alone; `pause` is between two attempts."""
    verdict: Verdict = "unknown"
    for attempt in range(TRIES):
        if attempt:
            pause()
        verdict = classify(asyncio.run(_refresh(desired, client_id, secret)))
        if verdict == "accepted":
            break
    return verdict


async def _refresh(desired: Desired, client_id: str, secret: str) -> TokenResult:
    settings = desired.settings.provider
    audiences = settings.assertion_audiences
    authentication = client_authentication(settings.client_auth, client_id, secrets=[secret], audiences=audiences)
    transport = settings.transport.model_copy(update={"timeout": ANSWER_TIMEOUT})
    provider = HttpProvider(settings.issuer, authentication, ProviderConnections(transport))
    try:
        return await provider.refresh(NO_TOKEN, timeout=ANSWER_TIMEOUT)
    finally:
        await provider.close()


def not_verified(verdict: Verdict) -> OktaManagementError:
    if verdict == "refused":
        return OktaManagementError(
            "The token endpoint rejects the new secret; nothing was written, the old secret stays valid.",
            "Is BFF_CLIENT_AUTH the method registered in Okta? `bff okta plan` shows it. Then run this command again.",
        )
    return OktaManagementError(
        "The token endpoint gave no response that verifies the new secret; nothing was written, the old secret stays "
        "valid.",
        "Is BFF_ISSUER reachable from here? Run the command again: it continues with the secret that was created.",
    )


def _path(app_id: str) -> str:
    return f"/api/v1/apps/{app_id}/credentials/secrets"


def _secret(document: dict[str, Any]) -> ClientSecret:
    value = str(document.get("client_secret") or "")
    return ClientSecret(str(document["id"]), str(document.get("status")), str(document.get("created", "")), value)
