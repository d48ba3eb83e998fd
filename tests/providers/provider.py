"""What a journey needs of a provider that runs for the tests."""

import json
import secrets
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Final

from bff.oidc.private_keys import new_private_jwk
from tests.harness.http_browser import Browser
from tests.harness.plain_http import plain_http
from tests.harness.ports import free_ports
from tests.providers.provider_proxy import ProviderProxy

LONG: Final = 3600  # seconds that an access token lives if a test does not shorten it


@dataclass(frozen=True)
class Wish:
    """How a client is to be registered: names are of algorithms."""

    id_token_algorithm: str = "RS256"
    client_key: str | None = None  # private_key_jwt instead of a secret
    encryption: tuple[str, str] | None = None  # of ID and logout tokens: the algorithms of the key and of the content
    userinfo_algorithm: str | None = None  # a signed UserInfo response
    dpop: bool = False
    rotates: bool = True  # refresh tokens are good for one refresh, as far as the provider can do that
    api_tokens: bool = False  # it gets tokens for APIs of other audiences, and of its own
    secret_was_replaced: bool = False  # the provider knows only the secret of BFF_CLIENT_SECRET_NEXT

    @property
    def has_keys(self) -> bool:
        """Whether the BFF publishes keys, which the provider fetches."""
        return self.client_key is not None or self.encryption is not None


@dataclass(frozen=True)
class Client:
    """A registered client. `settings` are those of the BFF, without the prefix."""

    client_id: str
    secret: str = field(repr=False)
    settings: Mapping[str, str] = field(repr=False)


@dataclass(frozen=True)
class AudienceToken:
    """`token` is that of the route, and `audience` the one that its upstream gets; None if it gets none."""

    token: Mapping[str, Any]
    audience: str | None


class Provider(ABC):
    """One process behind a proxy. The proxy's address is the issuer's, for the BFF and for browsers."""

    name: ClassVar[str]
    version: ClassVar[str]
    # What the provider can do beyond the core. Each is one journey more.
    id_token_algorithms: ClassVar[tuple[str, ...]] = ()  # besides RS256
    client_key_algorithms: ClassVar[tuple[str, ...]] = ()
    encryptions: ClassVar[tuple[tuple[str, str], ...]] = ()
    userinfo_algorithms: ClassVar[tuple[str, ...]] = ()
    dpop: ClassVar[bool] = False
    par: ClassVar[bool] = False  # pushed authorization requests
    audience_kind: ClassVar[str | None] = None  # how a session gets tokens for other audiences: exchange or resource
    keeps_refresh_tokens: ClassVar[bool] = True  # it can refresh without rotating
    # What a lost answer costs where every refresh rotates: the session, or nothing.
    survives_lost_answers: ClassVar[bool] = True
    settings: ClassVar[Mapping[str, str]] = {}  # of the BFF, for this provider

    def __init__(self, directory: Path) -> None:
        ports = free_ports(3)
        self.directory, self.port, self.control_port = directory, ports + 1, ports + 2
        self.proxy = ProviderProxy(ports, self.port)

    @abstractmethod
    def issuer_of(self, wish: Wish) -> str:
        """The issuer of the clients that are registered so."""

    @abstractmethod
    async def start(self) -> None:
        """Installs what is missing, and returns when the provider serves. Raises InstallationFailed."""

    @abstractmethod
    async def stop(self) -> None: ...

    async def register(self, public_url: str, wish: Wish) -> Client:
        """Registers a BFF that browsers know by `public_url`."""
        client_id, secret = f"bff-{secrets.token_hex(8)}", secrets.token_urlsafe(48)
        await self.add_client(client_id, secret, public_url, wish)
        settings = {**self.settings, **_client_settings(self.issuer_of(wish), client_id, secret, wish)}
        return Client(client_id, secret, settings)

    @abstractmethod
    async def add_client(self, client_id: str, secret: str, public_url: str, wish: Wish) -> None: ...

    async def refuse(self, client: Client) -> None:
        """From now on the provider refuses the audience of `/refused`, if it had to take it at the sign-in."""
        return

    @abstractmethod
    async def set_lifetime(self, client: Client, seconds: int) -> None:
        """Access tokens that this client gets from now on live so long."""

    @abstractmethod
    async def is_alive(self, client: Client, login: str, refresh_token: str) -> bool:
        """Whether the client could still refresh with this token of the person's session."""

    @abstractmethod
    async def sign_out_at_provider(self, client: Client, login: str, browser: Browser) -> None:
        """The person's session at the provider ends, without the BFF: it sends a logout token."""

    @abstractmethod
    async def end_grant(self, client: Client, login: str, refresh_token: str) -> None:
        """The refresh token becomes invalid, and the BFF hears nothing of it."""

    def audience_tokens(self, client: Client) -> Mapping[str, AudienceToken]:
        """Tokens of other audiences for a client with `api_tokens`, by the prefix of a route. One is `/refused`."""
        return {}

    @abstractmethod
    async def rotate_keys(self) -> None:
        """From now on a new key signs; the old ones are still published."""


def _client_settings(issuer: str, client_id: str, secret: str, wish: Wish) -> dict[str, str]:
    found = {"issuer": issuer, "client_id": client_id, "id_token_algorithms": wish.id_token_algorithm}
    if wish.secret_was_replaced:
        found |= {"client_secret": "the-former-secret-0123456789abcdefghijkl", "client_secret_next": secret}
    elif wish.client_key is None:
        found["client_secret"] = secret
    else:
        key = json.dumps(new_private_jwk(wish.client_key))
        found |= {"client_auth": "private_key_jwt", "client_private_key": key}
    if wish.encryption is not None:
        found["decryption_keys"] = json.dumps(new_private_jwk(wish.encryption[0]))
    if wish.userinfo_algorithm is not None:
        found |= {"userinfo": "always", "id_token_algorithms": f"{wish.id_token_algorithm} {wish.userinfo_algorithm}"}
    return found | ({"dpop": "on"} if wish.dpop else {})


def key_set_url(public_url: str) -> str:
    """Where the BFF publishes its keys."""
    return f"{public_url}/.well-known/jwks.json"


def client_metadata(client_id: str, secret: str, public_url: str, wish: Wish) -> dict[str, Any]:
    """The client in the terms of Dynamic Client Registration (RFC 7591, OIDC Registration 1.0)."""
    authentication: dict[str, Any] = {"token_endpoint_auth_method": "client_secret_basic", "client_secret": secret}
    if wish.client_key is not None:
        authentication = {
            "token_endpoint_auth_method": "private_key_jwt",
            "token_endpoint_auth_signing_alg": wish.client_key,
        }
    return {
        "client_id": client_id,
        "redirect_uris": [f"{public_url}/authorization-code/callback"],
        "post_logout_redirect_uris": [f"{public_url}/"],
        "backchannel_logout_uri": f"{public_url}/auth/backchannel-logout",
        "backchannel_logout_session_required": True,
        "grant_types": ["authorization_code", "refresh_token", *(["client_credentials"] if wish.api_tokens else [])],
        "response_types": ["code"],
        "scope": f"openid profile email offline_access{' api:read' if wish.api_tokens else ''}",
        **authentication,
        **({"jwks_uri": key_set_url(public_url)} if wish.has_keys else {}),
        **_response_metadata(wish),
    }


def _response_metadata(wish: Wish) -> dict[str, str]:
    found = {} if wish.userinfo_algorithm is None else {"userinfo_signed_response_alg": wish.userinfo_algorithm}
    if wish.encryption is not None:
        alg, enc = wish.encryption
        found |= {"id_token_encrypted_response_alg": alg, "id_token_encrypted_response_enc": enc}
    return found


async def revoke_as(client: Client, endpoint: str, token: str) -> None:
    """Revokes a token as a client with a secret (RFC 7009), at an endpoint past the proxy."""
    async with plain_http() as http:
        answer = await http.post(endpoint, data={"token": token}, auth=(client.client_id, client.secret))
    assert answer.status_code == 200, answer.text
