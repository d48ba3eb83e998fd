"""The OpenID Provider, and for a custom authorization server of Okta also its org."""

import logging
from dataclasses import dataclass

from bff.components.ports import ManagedProvider, Ports
from bff.components.runtime import Runtime
from bff.config.settings import Settings
from bff.errors import ProviderUnavailable
from bff.flows.id_tokens import IdTokenValidator
from bff.flows.offline_access import OfflineAccess
from bff.oidc.metadata import MetadataRefused, endpoints_elsewhere
from bff.oidc.published_keys import PublishedKeys
from bff.provider.open import client_auth, open_org_provider, open_provider, validate_metadata
from bff.provider.own_keys import public_keys

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Providers:
    """`main` signs users in. `org` may also sign Universal Logout requests; it is empty if `main` is the org.

    `published` has our own public keys.
    """

    main: ManagedProvider
    org: tuple[ManagedProvider, ...]
    id_tokens: IdTokenValidator
    published: PublishedKeys
    offline_access: OfflineAccess

    async def check(self, settings: Settings) -> None:
        """Raises MetadataRefused or ConfigurationError for a provider that contradicts the settings.

        One that is unavailable, or shows another page instead, is only logged: existing sessions keep working.
        """
        try:
            metadata = await self.main.metadata()
            validate_metadata(settings.provider, metadata)
        except MetadataRefused:
            raise
        except ProviderUnavailable as error:
            logger.warning("the provider is not available yet", extra={"error": error.code, "why": str(error)})
            return
        if elsewhere := endpoints_elsewhere(metadata):
            endpoints = ", ".join(f"{name} at {host}" for name, host in elsewhere.items())
            logger.info("endpoints of the provider are on another host than its issuer", extra={"endpoints": endpoints})

    def replace_client_auth(self, settings: Settings) -> None:
        """Uses other client credentials from the next request on. Raises ConfigurationError."""
        credentials, published = client_auth(settings.provider), public_keys(settings)["client"]
        for provider in (self.main, *self.org):
            provider.replace_client_auth(credentials)
        self.published.replace({"client": published})  # the others take effect at the start, so they are not replaced

    async def close(self) -> None:
        for provider in (self.main, *self.org):
            await provider.close()


def build_providers(runtime: Runtime, ports: Ports) -> Providers:
    """Raises ConfigurationError."""
    main, org = ports.provider, ports.org
    if main is None:
        main = open_provider(runtime.settings, clock=runtime.clock)
        org = open_org_provider(runtime.settings, clock=runtime.clock)
    published = PublishedKeys(public_keys(runtime.settings))
    offline_access = OfflineAccess(runtime.settings.provider.scopes)
    return Providers(main, org, IdTokenValidator(main, runtime.settings), published, offline_access)
