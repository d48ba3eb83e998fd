"""Keycloak of Maven Central, with one realm that rotates refresh tokens and one that does not."""

import itertools
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Final

from tests.harness.http_browser import Browser
from tests.providers.keycloak.server import HERE, KeycloakServer, pinned_version
from tests.providers.person import PASSWORD
from tests.providers.provider import AudienceToken, Client, Provider, Wish, key_set_url, revoke_as

ROTATING: Final[dict[str, Any]] = json.loads((HERE / "realm.json").read_text())
KEEPING: Final = {**ROTATING, "realm": "bff-keeps", "revokeRefreshToken": False, "refreshTokenMaxReuse": 0}


APIS: Final = ("orders", "billing", "refused")


def _user(login: str) -> dict[str, Any]:
    name = login.partition("@")[0].capitalize()
    return {
        "username": login,
        "email": login,
        "emailVerified": True,
        "enabled": True,
        "firstName": name,
        "lastName": "Example",
        "credentials": [{"type": "password", "value": PASSWORD, "temporary": False}],
    }


class Keycloak(Provider):
    name = "Keycloak"
    version = pinned_version()
    id_token_algorithms = ("PS256", "ES256", "EdDSA")
    client_key_algorithms = ("RS256", "PS256", "ES256", "EdDSA")
    encryptions = (("RSA-OAEP-256", "A256GCM"), ("RSA-OAEP-256", "A128CBC-HS256"))
    userinfo_algorithms = ("PS256", "EdDSA")
    dpop = True
    par = True
    audience_kind = "exchange"
    # It gives refresh tokens without offline_access, and the sessions of that scope outlive a sign-out.
    settings: ClassVar[Mapping[str, str]] = {"scopes": "openid profile email"}

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        self.server = KeycloakServer(directory, port=self.port, public_url=self.proxy.origin)
        self._clients: dict[str, tuple[str, str]] = {}  # realm and internal id by client_id
        self._priority = itertools.count(200)

    def issuer_of(self, wish: Wish) -> str:
        return self.server.issuer(_realm_of(wish))

    async def start(self) -> None:
        await self.server.start()
        users = [_user("alice@example.com"), _user("bob@example.com")]
        for realm in (ROTATING, KEEPING):
            await self.server.add_realm(realm, users=users)
        await self.proxy.start()

    async def stop(self) -> None:
        await self.proxy.stop()
        await self.server.stop()

    async def add_client(self, client_id: str, secret: str, public_url: str, wish: Wish) -> None:
        realm = _realm_of(wish)
        attributes = {
            "post.logout.redirect.uris": f"{public_url}/",
            "backchannel.logout.url": f"{public_url}/auth/backchannel-logout",
            "backchannel.logout.session.required": "true",
            "id.token.signed.response.alg": wish.id_token_algorithm,
            "dpop.bound.access.tokens": str(wish.dpop).lower(),
        }
        authenticator = {"clientAuthenticatorType": "client-secret", "secret": secret}
        if wish.has_keys:
            attributes |= {"use.jwks.url": "true", "jwks.url": key_set_url(public_url)}
        if wish.client_key is not None:
            authenticator = {"clientAuthenticatorType": "client-jwt"}
            attributes["token.endpoint.auth.signing.alg"] = wish.client_key
        if wish.encryption is not None:
            names = ("id.token.encrypted.response.alg", "id.token.encrypted.response.enc")
            attributes |= dict(zip(names, wish.encryption, strict=True))
        if wish.userinfo_algorithm is not None:
            attributes["user.info.response.signature.alg"] = wish.userinfo_algorithm
        if wish.api_tokens:
            attributes["standard.token.exchange.enabled"] = "true"
        client = {
            "clientId": client_id,
            "protocol": "openid-connect",
            "publicClient": False,
            "standardFlowEnabled": True,
            "serviceAccountsEnabled": wish.api_tokens,
            "redirectUris": [f"{public_url}/authorization-code/callback"],
            "attributes": attributes,
            **authenticator,
        }
        await self.server.admin("POST", f"/{realm}/clients", client)
        found = await self.server.admin("GET", f"/{realm}/clients?clientId={client_id}")
        self._clients[client_id] = (realm, found[0]["id"])
        if wish.api_tokens:
            await self._add_audiences(client_id)

    async def _add_audiences(self, client_id: str) -> None:
        """APIs are clients. An optional scope lets this client's tokens have one of them as their audience."""
        realm, internal = self._clients[client_id]
        for name in APIS:
            api = f"{name}-{client_id}"
            await self.server.admin("POST", f"/{realm}/clients", {"clientId": api, "bearerOnly": True})
            if name == "refused":
                continue
            mapper = {
                "name": "audience",
                "protocol": "openid-connect",
                "protocolMapper": "oidc-audience-mapper",
                "config": {"included.client.audience": api, "access.token.claim": "true"},
            }
            scope = {"name": api, "protocol": "openid-connect", "protocolMappers": [mapper]}
            await self.server.admin("POST", f"/{realm}/client-scopes", scope)
            scopes = await self.server.admin("GET", f"/{realm}/client-scopes")
            scope_id = next(each["id"] for each in scopes if each["name"] == api)
            await self.server.admin("PUT", f"/{realm}/clients/{internal}/optional-client-scopes/{scope_id}")

    def audience_tokens(self, client: Client) -> Mapping[str, AudienceToken]:
        apis = {f"/{name}": f"{name}-{client.client_id}" for name in APIS}
        allowed = {
            prefix: AudienceToken({"exchange": {"audience": api, "scope": api}}, api)
            for prefix, api in apis.items()
            if prefix != "/refused"
        }
        return {**allowed, "/refused": AudienceToken({"exchange": {"audience": apis["/refused"]}}, None)}

    async def set_lifetime(self, client: Client, seconds: int) -> None:
        realm, internal = self._clients[client.client_id]
        path = f"/{realm}/clients/{internal}"
        registered = await self.server.admin("GET", path)
        registered["attributes"]["access.token.lifespan"] = str(seconds)
        await self.server.admin("PUT", path, registered)

    async def is_alive(self, client: Client, login: str, refresh_token: str) -> bool:
        realm, internal = self._clients[client.client_id]
        user = await self.server.user_id(realm, login)
        sessions = await self.server.admin("GET", f"/{realm}/users/{user}/sessions")
        return any(internal in session["clients"] for session in sessions)

    async def sign_out_at_provider(self, client: Client, login: str, browser: Browser) -> None:
        realm, _ = self._clients[client.client_id]
        user = await self.server.user_id(realm, login)
        await self.server.admin("POST", f"/{realm}/users/{user}/logout")

    async def end_grant(self, client: Client, login: str, refresh_token: str) -> None:
        realm, _ = self._clients[client.client_id]
        await revoke_as(client, f"{self.server.url}/realms/{realm}/protocol/openid-connect/revoke", refresh_token)

    async def rotate_keys(self) -> None:
        for realm in (ROTATING, KEEPING):
            priority = str(next(self._priority))
            key = {
                "name": f"rsa-{priority}",
                "providerId": "rsa-generated",
                "providerType": "org.keycloak.keys.KeyProvider",
                "config": {"priority": [priority], "algorithm": ["RS256"], "keySize": ["2048"]},
            }
            await self.server.admin("POST", f"/{realm['realm']}/components", key)


def _realm_of(wish: Wish) -> str:
    return str((ROTATING if wish.rotates else KEEPING)["realm"])
