"""The tokens of routes that an Okta org has to issue: by which client, at which server, with which grant type."""

from dataclasses import dataclass, replace
from typing import Final, Literal, TypeAlias
from urllib.parse import urlsplit

from bff.admin.okta.desired import Desired
from bff.config.api_tokens import ClientCredentialsToken, ExchangeToken

Grant: TypeAlias = Literal["urn:ietf:params:oauth:grant-type:token-exchange", "client_credentials"]
TOKEN_EXCHANGE: Final = "urn:ietf:params:oauth:grant-type:token-exchange"


@dataclass(frozen=True, slots=True)
class NeededToken:
    """`server_id` None: the org server. `audience` None: the server's own. `prefixes` are those of the routes."""

    grant: Grant
    client: Literal["sign_in", "service"]
    server_id: str | None
    audience: str | None
    scopes: tuple[str, ...]
    prefixes: tuple[str, ...] = ()

    @property
    def of_app(self) -> bool:
        """Whether the app integration of the sign-in gets it. Okta exchanges for service apps only."""
        return self.client == "sign_in" and self.grant == "client_credentials"

    @property
    def places(self) -> str:
        return f"the token of {', '.join(self.prefixes)}"


def needed_tokens(desired: Desired) -> tuple[NeededToken, ...]:
    """Each once, in the order of the routes; without those of other orgs."""
    prefixes: dict[NeededToken, list[str]] = {}
    for route in desired.settings.routes:
        match route.token:
            case ExchangeToken() as token:
                grant: Grant = TOKEN_EXCHANGE
            case ClientCredentialsToken() as token:
                grant = "client_credentials"
            case _:
                continue
        issuer = token.issuer or desired.settings.provider.issuer
        if in_org(issuer, desired):
            needed = NeededToken(grant, token.client, server_id(issuer), token.audience, token.scope)
            prefixes.setdefault(needed, []).append(route.prefix)
    return tuple(replace(needed, prefixes=tuple(those)) for needed, those in prefixes.items())


def unreadable_issuers(desired: Desired) -> tuple[str, ...]:
    """Issuers of tokens that are not in this org."""
    issuers = [getattr(route.token, "issuer", None) for route in desired.settings.routes]
    return tuple(dict.fromkeys(issuer for issuer in issuers if issuer and not in_org(issuer, desired)))


def in_org(issuer: str, desired: Desired) -> bool:
    """Also on the custom domain that BFF_ISSUER has."""
    own = {urlsplit(address).netloc for address in (desired.org_url, desired.settings.provider.issuer)}
    return urlsplit(issuer).netloc in own


def server_id(issuer: str) -> str | None:
    """Of a custom authorization server."""
    path = urlsplit(issuer).path
    return path.removeprefix("/oauth2/") if path.startswith("/oauth2/") else None
