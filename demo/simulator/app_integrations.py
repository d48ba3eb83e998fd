"""The org's app integrations, as the Apps API shows them, and their OAuth clients.

The sign-in and token endpoints use only the clients; a change of an app applies to its client.
"""

import copy
import secrets
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from demo.simulator.app_validation import accepted
from demo.simulator.config import SECRET_METHODS, Client
from demo.simulator.management_errors import ApiRefused, invalid

Json = dict[str, Any]
MAX_SECRETS = 2


def timestamp(now: float) -> str:
    return datetime.fromtimestamp(now, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def new_id(prefix: str) -> str:
    """Okta's ids have 20 characters, of which the first three indicate the kind."""
    alphabet = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
    return prefix + "".join(secrets.choice(alphabet) for _ in range(20 - len(prefix)))


@dataclass(slots=True)
class Secret:
    id: str
    value: str = field(repr=False)
    created: str
    active: bool = True

    def as_json(self) -> Json:
        return {
            "id": self.id,
            "client_secret": self.value,
            "secret_hash": secrets.token_urlsafe(16),
            "status": "ACTIVE" if self.active else "INACTIVE",
            "created": self.created,
            "lastUpdated": self.created,
            "_links": {},
        }


@dataclass(slots=True)
class AppIntegration:
    """`groups` are ids; an app created at the start (`everybody`) is open to all users."""

    id: str
    kept: Json
    client: Client
    created: str
    active: bool = True
    secrets: list[Secret] = field(default_factory=list)
    groups: list[str] = field(default_factory=list)
    everybody: bool = False

    def as_json(self, *, with_secret: bool = False) -> Json:
        app = copy.deepcopy(self.kept)
        oauth = app["credentials"]["oauthClient"]
        oauth["client_id"] = self.client.client_id
        oauth["pkce_required"] = self.client.pkce_required
        app["settings"]["oauthClient"] |= {
            "redirect_uris": list(self.client.redirect_uris),
            "post_logout_redirect_uris": list(self.client.post_logout_redirect_uris),
        }
        if with_secret and (live := [secret.value for secret in self.live_secrets()]):
            oauth["client_secret"] = live[-1]
        return {
            "id": self.id,
            "status": "ACTIVE" if self.active else "INACTIVE",
            "created": self.created,
            "lastUpdated": self.created,
            "features": [],
            "universalLogout": {"status": "UNSUPPORTED"},
            **app,
            "_links": {"clientCredentials": []},
        }

    def live_secrets(self) -> list[Secret]:
        """A test may have changed the client's secrets directly; the client's list decides."""
        for value in self.client.secrets:
            if not any(secret.value == value for secret in self.secrets):
                self.secrets.append(Secret(new_id("ocs"), value, self.created))
        for secret in self.secrets:
            secret.active = secret.value in self.client.secrets
        return [secret for secret in self.secrets if secret.active]

    def set_live(self, secret: Secret, *, active: bool) -> None:
        """Raises ApiRefused: the only active secret cannot be deactivated."""
        others = [other for other in self.live_secrets() if other is not secret]
        if not active and not others:
            raise invalid("status", "The only active client secret cannot be deactivated")
        secret.active = active
        self.client.secrets = tuple(other.value for other in self.secrets if other.active)

    def add_secret(self, value: str | None, now: float, *, active: bool = True) -> Secret:
        """Raises ApiRefused."""
        self.live_secrets()
        if len(self.secrets) >= MAX_SECRETS:
            raise invalid("secrets", "A client can have two secrets at most")
        value = value if value is not None else secrets.token_urlsafe(48)
        if not 14 <= len(value) <= 100 or not (value.isascii() and value.isprintable()):
            raise invalid("client_secret", "client_secret: 14 to 100 printable ASCII characters")
        secret = Secret(new_id("ocs"), value, timestamp(now), active)
        self.secrets.append(secret)
        if active:
            self.client.secrets += (value,)
        return secret

    def change(self, sent: Any, now: float) -> None:
        """PUT: replaces everything. Raises ApiRefused."""
        self.kept = accepted(sent, self.kept)
        _into(self.client, self.kept)
        self.fit_secrets(now)

    def fit_secrets(self, now: float) -> None:
        if self.client.auth_methods <= SECRET_METHODS and self.client.auth_methods:
            if not self.live_secrets():
                self.add_secret(None, now)
        else:
            self.client.secrets = ()
            self.secrets.clear()


class AppIntegrations:
    """`clients` is the org's client table: it contains active apps only."""

    def __init__(self, clients: dict[str, Client]) -> None:
        self._clients = clients
        self._apps: dict[str, AppIntegration] = {}

    def __iter__(self) -> Iterator[AppIntegration]:
        return iter(list(self._apps.values()))

    def find(self, app_id: str) -> AppIntegration | None:
        return self._apps.get(app_id)

    def of_client(self, client_id: str) -> AppIntegration | None:
        return next((app for app in self._apps.values() if app.client.client_id == client_id), None)

    def adopt(self, client: Client, now: float, *, rotates: bool, leeway: int) -> None:
        """Exposes the client that the simulator was started with as an app."""
        keys = [dict(jwk) for jwk in client.jwks]
        sent = {
            "name": "oidc_client",
            "label": "Simulated app",
            "signOnMode": "OPENID_CONNECT",
            "credentials": {
                "oauthClient": {
                    "token_endpoint_auth_method": "private_key_jwt" if keys else "client_secret_basic",
                    "pkce_required": client.pkce_required,
                }
            },
            "settings": {
                "oauthClient": {
                    "application_type": "web",
                    "redirect_uris": list(client.redirect_uris) or ["http://127.0.0.1/callback"],
                    "post_logout_redirect_uris": list(client.post_logout_redirect_uris),
                    "response_types": ["code"],
                    "grant_types": ["authorization_code", "refresh_token"],
                    "refresh_token": {"rotation_type": "ROTATE" if rotates else "STATIC", "leeway": leeway},
                    **({"jwks": {"keys": keys}} if keys else {}),
                }
            },
        }
        app = AppIntegration(client.client_id, accepted(sent), client, timestamp(now), everybody=True)
        app.live_secrets()
        self._apps[app.id] = app

    def create(self, sent: Any, now: float, *, active: bool) -> AppIntegration:
        """Raises ApiRefused."""
        kept = accepted(sent)
        chosen = kept["credentials"]["oauthClient"]
        client_id, value = chosen.pop("client_id", None), chosen.pop("client_secret", None)
        app_id = new_id("0oa")
        if client_id is not None and (not 6 <= len(client_id) <= 100 or self.of_client(client_id) is not None):
            raise invalid("client_id", "client_id: 6 to 100 characters that no other client has")
        app = AppIntegration(app_id, kept, Client(client_id or app_id), timestamp(now), active)
        _into(app.client, kept)
        if value is not None:
            app.add_secret(value, now)
        app.fit_secrets(now)
        self._apps[app.id] = app
        self.set_active(app, active=active)
        return app

    def set_active(self, app: AppIntegration, *, active: bool) -> None:
        app.active = active
        if active:
            self._clients[app.client.client_id] = app.client
        else:
            self._clients.pop(app.client.client_id, None)

    def delete(self, app: AppIntegration) -> None:
        """Raises ApiRefused: only an inactive app can be deleted."""
        if app.active:
            raise ApiRefused(403, "E0000056", "Delete application forbidden.", ("The application must be inactive.",))
        del self._apps[app.id]


def _into(client: Client, kept: Json) -> None:
    oauth, credentials = kept["settings"]["oauthClient"], kept["credentials"]["oauthClient"]
    client.redirect_uris = tuple(oauth.get("redirect_uris") or ())
    client.post_logout_redirect_uris = tuple(oauth.get("post_logout_redirect_uris") or ())
    client.jwks = tuple((oauth.get("jwks") or {}).get("keys", ()))
    method = credentials["token_endpoint_auth_method"]
    client.auth_methods = frozenset() if method == "none" else frozenset({method})
    client.pkce_required = credentials["pkce_required"]
    client.grant_types = frozenset(oauth["grant_types"])
    client.application_type = oauth["application_type"]
    if (refresh := oauth.get("refresh_token")) is not None:
        client.rotation = ("rotate" if refresh["rotation_type"] == "ROTATE" else "persistent", refresh["leeway"])
    credentials.pop("client_id", None)
    credentials.pop("client_secret", None)
