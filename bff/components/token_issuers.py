"""The authorization servers that issue access tokens for APIs, by issuer and client."""

from collections.abc import Mapping
from dataclasses import dataclass

from bff.components.ports import ManagedIssuer
from bff.components.runtime import Runtime
from bff.config.api_tokens import ClientName
from bff.config.settings import Settings
from bff.oidc.provider import TokenIssuer
from bff.provider.open import client_auth, open_token_issuers, service_client_auth


@dataclass(frozen=True, slots=True)
class OpenIssuers:
    """`opened` are those beside the provider of the sign-ins with its client, which is `main`."""

    own: str
    main: TokenIssuer
    opened: Mapping[tuple[str, ClientName], ManagedIssuer]

    @property
    def by_client(self) -> Mapping[tuple[str, ClientName], TokenIssuer]:
        return {(self.own, "sign_in"): self.main, **self.opened}

    def replace_client_auth(self, settings: Settings) -> None:
        """Uses other client credentials from the next request on. Raises ConfigurationError."""
        credentials = {
            client: client_auth(settings.provider) if client == "sign_in" else service_client_auth(settings)
            for _, client in self.opened
        }
        for (_, client), issuer in self.opened.items():
            issuer.replace_client_auth(credentials[client])

    async def close(self) -> None:
        for issuer in self.opened.values():
            await issuer.close()


def build_token_issuers(runtime: Runtime, main: TokenIssuer) -> OpenIssuers:
    """Raises ConfigurationError."""
    opened = open_token_issuers(runtime.settings, clock=runtime.clock)
    return OpenIssuers(runtime.settings.provider.issuer, main, opened)
