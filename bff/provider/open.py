"""Builds the provider that the settings name, and compares its metadata with what they require."""

import time
from collections.abc import Callable
from typing import Literal

from bff.config.api_tokens import ClientName, RequestedToken
from bff.config.provider import ProviderSettings
from bff.config.settings import Settings
from bff.config.token_client import ServiceClientSettings
from bff.errors import ConfigurationError
from bff.oidc.client_auth import ClientAuthentication, client_authentication
from bff.oidc.dpop import ALGORITHMS, proof_algorithm
from bff.oidc.metadata import ProviderMetadata
from bff.provider.client import HttpProvider
from bff.provider.connections import ProviderConnections


def client_auth(client: ProviderSettings) -> ClientAuthentication:
    """How the client that signs users in authenticates. Raises ConfigurationError."""
    return _client_auth(client, client.client_id, client.assertion_audiences, "BFF_CLIENT_AUTH")


def service_client_auth(settings: Settings) -> ClientAuthentication:
    """How the second client authenticates. Raises ConfigurationError, also if there is none."""
    client = settings.service_client
    if client.client_id is None:
        raise ConfigurationError("BFF_SERVICE_CLIENT_ID", "is missing.", "Set it and the credentials of that client.")
    audiences = settings.provider.assertion_audiences
    return _client_auth(client, client.client_id, audiences, "BFF_SERVICE_CLIENT_AUTH")


def _client_auth(
    client: ProviderSettings | ServiceClientSettings,
    client_id: str,
    audiences: tuple[Literal["issuer", "token_endpoint", "endpoint"], ...],
    setting: str,
) -> ClientAuthentication:
    secrets = (client.client_secret, client.client_secret_next)
    key = client.client_private_key
    try:
        return client_authentication(
            client.client_auth,
            client_id,
            secrets=[secret.get_secret_value() for secret in secrets if secret is not None],
            private_key=None if key is None else key.get_secret_value(),
            key_id=client.client_key_id,
            audiences=audiences,
            algorithm=client.client_key_algorithm,
        )
    except ValueError as error:
        fix = "`bff docs settings` says what each method needs."
        raise ConfigurationError(setting, f"cannot be used: {error}.", fix) from None


def open_provider(
    settings: Settings, *, issuer: str | None = None, clock: Callable[[], float] = time.time
) -> HttpProvider:
    """`issuer` overrides the configured one, within the same org. Raises ConfigurationError."""
    return HttpProvider(
        issuer or settings.provider.issuer,
        client_auth(settings.provider),
        ProviderConnections(settings.provider.transport, refreshes=settings.refresh.concurrency),
        clock=clock,
    )


def open_token_issuers(
    settings: Settings, *, clock: Callable[[], float] = time.time
) -> dict[tuple[str, ClientName], HttpProvider]:
    """The authorization servers that issue tokens for routes, by issuer and client, except for BFF_ISSUER with the
    client of the sign-ins. Raises ConfigurationError.
    """
    opened: dict[tuple[str, ClientName], HttpProvider] = {}
    for route in settings.routes:
        token = route.api_token
        if not isinstance(token, RequestedToken):
            continue
        issuer = token.issuer or settings.provider.issuer
        if (issuer, token.client) == (settings.provider.issuer, "sign_in") or (issuer, token.client) in opened:
            continue
        opened[issuer, token.client] = HttpProvider(
            issuer,
            client_auth(settings.provider) if token.client == "sign_in" else service_client_auth(settings),
            ProviderConnections(settings.provider.transport),
            clock=clock,
        )
    return opened


def open_org_provider(settings: Settings, *, clock: Callable[[], float] = time.time) -> tuple[HttpProvider, ...]:
    """The org authorization server, if the issuer is a custom one: its keys may sign Universal Logout requests."""
    org = settings.provider.org_issuer
    return () if org is None else (open_provider(settings, issuer=org, clock=clock),)


def validate_metadata(client: ProviderSettings, metadata: ProviderMetadata) -> None:
    """Raises ConfigurationError where a setting requires more than the provider supports."""
    if client.uses_dpop and proof_algorithm(metadata.dpop_signing_alg_values_supported) is None:
        problem = f"is on, and the provider does not support DPoP proofs with any of {', '.join(ALGORITHMS)}."
        raise ConfigurationError("BFF_DPOP", problem, "Set it to off, or use a provider that supports RFC 9449.")
    if client.userinfo == "always" and metadata.userinfo_endpoint is None:
        problem = "is always, and the provider has no UserInfo endpoint."
        raise ConfigurationError("BFF_USERINFO", problem, "Set it to auto or never.")
