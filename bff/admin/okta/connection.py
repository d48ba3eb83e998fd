"""The Management API client as the settings configure it, and the plan for callers that need only that."""

import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from bff.admin.okta import provision
from bff.admin.okta.client_credentials import ServiceApp
from bff.admin.okta.desired import Desired
from bff.admin.okta.management_api import ApiToken, Credentials, ManagementApi, http_client
from bff.admin.okta.settings import OktaSettings
from bff.config.settings import Settings
from bff.errors import ConfigurationError
from bff.oidc.client_auth import client_authentication


def read_plan(settings: Settings, okta: OktaSettings) -> provision.Plan:
    """The plan of `bff okta plan`. Blocking. Raises OktaManagementError and ConfigurationError."""
    desired = Desired(settings, okta)
    with management_api(desired) as api:
        return provision.plan(api, desired)


@contextmanager
def management_api(desired: Desired, *, log: Callable[[str], None] = lambda _: None) -> Iterator[ManagementApi]:
    """`log` is called for each wait for a rate limit. Raises ConfigurationError when a key or CA file is unusable."""
    credentials, ca_file = _credentials(desired), desired.settings.provider.transport.ca_file
    try:
        http = http_client(proxy=desired.settings.provider.transport.proxy, ca_file=ca_file)
    except (OSError, ssl.SSLError):
        fix = "Give a file of certificates in PEM."
        raise ConfigurationError("BFF_PROVIDER_CA_FILE", f"{ca_file} cannot be used.", fix) from None
    with http:
        yield ManagementApi(desired.org_url, credentials, http, log=log)


def _credentials(desired: Desired) -> Credentials:
    okta = desired.okta
    if okta.api_token is not None:
        return ApiToken(okta.api_token.get_secret_value())
    assert okta.service_client_id is not None
    assert okta.service_private_key is not None
    try:
        authentication = client_authentication(
            "private_key_jwt",
            okta.service_client_id,
            private_key=okta.service_private_key.get_secret_value(),
            key_id=okta.service_key_id,
        )
    except ValueError as error:
        fix = "Give an RSA (2048 bits or more), EC or Ed25519 private key as PEM or JWK."
        raise ConfigurationError("BFF_OKTA_SERVICE_PRIVATE_KEY", f"cannot be used: {error}.", fix) from None
    # Only the scopes of the features in use, so that no more has to be granted.
    scopes = ["okta.apps.manage", "okta.groups.read"]
    scopes += ["okta.trustedOrigins.manage"] if okta.trusted_origins else []
    scopes += ["ssf.manage", "ssf.read"] if desired.receives_events else []
    optional = ("okta.authorizationServers.manage",) if desired.authorization_server_id else ()
    return ServiceApp(authentication, scopes=tuple(scopes), optional=optional)
