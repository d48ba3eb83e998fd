"""The desired state of the org for this BFF: what its settings, and those of the command, mean in Okta."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Final
from urllib.parse import urlsplit

from bff.admin.okta.client_key import public_key
from bff.admin.okta.credentials_file import ClientCredentials
from bff.admin.okta.settings import OktaSettings
from bff.base64url import encode_base64url
from bff.config.settings import Settings
from bff.oidc.client_auth import Method
from bff.oidc.security_events import requested_types
from bff.session.keyring import new_key

INITIATE_LOGIN_PATH: Final = "/auth/login"
FRONTCHANNEL_LOGOUT_PATH: Final = "/auth/frontchannel-logout"
NOT_YET: Final = "not-created-yet"


def placeholders() -> dict[str, str]:
    """Placeholders for settings that this command does not use, or that only `apply` will create."""
    return {
        "client_id": NOT_YET,
        "client_secret": f"{NOT_YET}-{encode_base64url(new_key())}",
        "session_keys": encode_base64url(new_key()),
    }


@dataclass(frozen=True)
class Desired:
    """`known` are the credentials that an earlier `apply` wrote; those of the settings take precedence. With `prune`,
    redirect URIs that the settings do not list are removed.
    """

    settings: Settings = field(repr=False)
    okta: OktaSettings = field(repr=False)
    known: ClientCredentials = field(default_factory=ClientCredentials)
    prune: bool = False

    @property
    def org_url(self) -> str:
        issuer = urlsplit(self.settings.provider.issuer)
        return self.okta.org_url or f"{issuer.scheme}://{issuer.netloc}"

    @property
    def authorization_server_id(self) -> str | None:
        """The custom authorization server's id; None for the org authorization server, which has no configurable
        policies.
        """
        path = urlsplit(self.settings.provider.issuer).path
        return path.removeprefix("/oauth2/") if path.startswith("/oauth2/") else None

    @property
    def on_custom_domain(self) -> bool:
        return urlsplit(self.settings.provider.issuer).netloc != urlsplit(self.org_url).netloc

    @property
    def label(self) -> str:
        return self.okta.label or f"BFF {urlsplit(self.settings.browser.public_url).netloc}"

    @property
    def client_id(self) -> str | None:
        """None if no app integration is known yet."""
        return self.known.client_id if self.settings.provider.client_id == NOT_YET else self.settings.provider.client_id

    @property
    def client_secrets(self) -> tuple[str, ...]:
        """The secrets that the BFF has, as far as they are known."""
        configured = (self.settings.provider.client_secret, self.settings.provider.client_secret_next)
        values = [secret.get_secret_value() for secret in configured if secret is not None]
        secrets = tuple(value for value in values if not value.startswith(NOT_YET))
        return secrets or ((self.known.client_secret,) if self.known.client_secret else ())

    @property
    def client_auth(self) -> Method:
        return self.settings.provider.client_auth

    @property
    def uses_secret(self) -> bool:
        return self.client_auth != "private_key_jwt"

    @cached_property
    def public_key(self) -> Mapping[str, str] | None:
        """The JWK to register; None if the client authenticates with a secret."""
        return public_key(self.settings)

    @property
    def redirect_uris(self) -> tuple[str, ...]:
        return _distinct(address + self.settings.browser.callback_path for address in self._addresses)

    @property
    def post_logout_redirect_uris(self) -> tuple[str, ...]:
        return _distinct(address + self.settings.browser.signed_out_path for address in self._addresses)

    @property
    def _addresses(self) -> tuple[str, ...]:
        return (self.settings.browser.public_url, *self.okta.development_urls)

    @property
    def initiate_login_uri(self) -> str:
        return self.settings.browser.public_url + INITIATE_LOGIN_PATH

    @property
    def frontchannel_logout_uri(self) -> str | None:
        """None leaves the app's front-channel logout unchanged."""
        return self.settings.browser.public_url + FRONTCHANNEL_LOGOUT_PATH if self.okta.frontchannel_logout else None

    @property
    def grace(self) -> int | None:
        """The grace period of token rotation in seconds; None without refresh tokens."""
        return self.settings.refresh.grace if "offline_access" in self.settings.provider.scopes else None

    @property
    def receives_events(self) -> bool:
        """Whether the org is to push security events to the BFF."""
        section = self.settings.security_events
        return section.delivery == "push" and section.issuer(self.settings.provider).rstrip("/") == self.org_url

    @property
    def event_types(self) -> tuple[str, ...]:
        """The security events that do more than leave a record."""
        return requested_types(self.settings.security_events.actions)

    @property
    def dpop(self) -> bool:
        return self.settings.provider.dpop == "on"


def _distinct(addresses: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(addresses))
