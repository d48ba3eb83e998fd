"""The Management API client as the settings configure it, and the differences for callers that only need those."""

import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from bff.admin.okta import provision
from bff.admin.okta.client_credentials import ServiceApp
from bff.admin.okta.desired import Desired, desired
from bff.admin.okta.management_api import ApiToken, Credentials, ManagementApi, http_client
from bff.admin.okta.settings import OktaSettings
from bff.config.settings import Settings
from bff.errors import ConfigurationError


def differences(settings: Settings, okta: OktaSettings) -> provision.Plan:
    """The differences that `bff okta plan` reports. Blocking. Raises OktaManagementError and ConfigurationError."""
    wanted = desired(settings, okta)
    with management_api(settings, okta, wanted) as api:
        return provision.plan(api, wanted)


@contextmanager
def management_api(
    settings: Settings, okta: OktaSettings, wanted: Desired, *, log: Callable[[str], None] = lambda _: None
) -> Iterator[ManagementApi]:
    """Raises ConfigurationError when a key or CA file is unusable.

    `progress` is called for each wait for a rate limit.
    """
    credentials = _credentials(okta, wanted)
    try:
        http = http_client(proxy=settings.provider.proxy, ca_file=settings.provider.ca_file)
    except (OSError, ssl.SSLError):
        raise _no_ca_file(settings.provider.ca_file) from None
    with http:
        yield ManagementApi(wanted.org_url, credentials, http, log=log)


def _credentials(okta: OktaSettings, wanted: Desired) -> Credentials:
    if okta.api_token is not None:
        return ApiToken(okta.api_token.get_secret_value())
    assert okta.service_client_id is not None
    assert okta.service_private_key is not None
    # Scopes follow the requested features, so that no more has to be granted than is used.
    scopes = ["okta.apps.manage", "okta.groups.read"]
    scopes += ["okta.trustedOrigins.manage"] if okta.trusted_origins else []
    try:
        return ServiceApp(
            okta.service_client_id,
            okta.service_private_key.get_secret_value(),
            okta.service_key_id,
            scopes=tuple(scopes),
            optional=("okta.authorizationServers.manage",) if wanted.authorization_server_id else (),
        )
    except ValueError as error:
        fix = "Give an RSA (2048 bits or more) or EC private key as PEM or JWK."
        raise ConfigurationError("BFF_OKTA_SERVICE_PRIVATE_KEY", f"cannot be used: {error}.", fix) from None


def _no_ca_file(path: Path | None) -> ConfigurationError:
    fix = "Give a file of certificates in PEM."
    return ConfigurationError("BFF_PROVIDER_CA_FILE", f"{path} cannot be used.", fix)
