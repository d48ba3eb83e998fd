"""The issuers of API tokens: that of the sign-ins is shared, the others get the credentials of their client."""

from typing import Any, cast

from bff.components.token_issuers import OpenIssuers
from bff.config.settings import load_settings
from bff.oidc.client_auth import ClientAuthentication
from bff.oidc.provider import TokenIssuer
from tests.harness.settings import with_changes

ISSUER, OTHER = "https://example.okta.com/oauth2/default", "https://example.okta.com/oauth2/aus2"
SERVICE = {"service_client_id": "0oa2service", "service_client_secret": "canary-service-secret"}


class Issuer:
    def __init__(self) -> None:
        self.client_ids: list[str] = []
        self.closed = False

    def replace_client_auth(self, client_auth: ClientAuthentication) -> None:
        self.client_ids.append(client_auth.client_id)

    async def close(self) -> None:
        self.closed = True


async def test_a_reload_gives_each_issuer_the_credentials_of_its_client() -> None:
    main, own, second = cast("TokenIssuer", None), Issuer(), Issuer()
    opened: Any = {(OTHER, "sign_in"): own, (OTHER, "service"): second}
    issuers = OpenIssuers(ISSUER, main, opened)
    assert [*issuers.by_client] == [(ISSUER, "sign_in"), *opened]
    issuers.replace_client_auth(load_settings(with_changes(**SERVICE)))
    assert (own.client_ids, second.client_ids) == (["0oa1example"], ["0oa2service"])
    await issuers.close()
    assert own.closed
    assert second.closed
