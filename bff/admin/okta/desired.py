"""The desired state of the org for this BFF, from its settings and those of the command."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import urlsplit

from bff.admin.okta.client_key import public_key
from bff.admin.okta.settings import OktaSettings
from bff.config.settings import Settings
from bff.oidc.client_auth import Method
from bff.session.keyring import encode_base64url, new_key

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


@dataclass(frozen=True, slots=True)
class Desired:
    """`client_id` and `client_secrets` are the known ones, if any.

    `grace` is in seconds, None without refresh tokens. `frontchannel_logout_uri` None: leave it unchanged. With
    `prune`, unknown addresses are removed.
    """

    org_url: str
    issuer: str
    label: str
    label_is_set: bool
    client_id: str | None
    client_secrets: tuple[str, ...] = field(repr=False)
    client_auth: Method
    public_key: Mapping[str, str] | None
    client_uri: str
    redirect_uris: tuple[str, ...]
    post_logout_redirect_uris: tuple[str, ...]
    initiate_login_uri: str
    frontchannel_logout_uri: str | None
    scopes: tuple[str, ...]
    grace: int | None
    groups: tuple[str, ...]
    trusted_origins: tuple[str, ...]
    access_policy: bool
    dpop: bool
    prune: bool = False

    @property
    def authorization_server_id(self) -> str | None:
        """The custom authorization server's id; None for the org authorization server, which has no configurable
        policies.
        """
        path = urlsplit(self.issuer).path
        return path.removeprefix("/oauth2/") if path.startswith("/oauth2/") else None

    @property
    def on_custom_domain(self) -> bool:
        return urlsplit(self.issuer).netloc != urlsplit(self.org_url).netloc

    @property
    def uses_secret(self) -> bool:
        return self.client_auth != "private_key_jwt"


def desired(
    settings: Settings,
    okta: OktaSettings,
    *,
    client_id: str | None = None,
    client_secret: str | None = None,
    prune: bool = False,
) -> Desired:
    """`client_id` and `client_secret` come from the file of an earlier `apply`; settings take precedence."""
    configured = settings.provider.client_id if settings.provider.client_id != NOT_YET else client_id
    held = (settings.provider.client_secret, settings.provider.client_secret_next)
    secrets = tuple(
        value for secret in held if secret is not None and not (value := secret.get_secret_value()).startswith(NOT_YET)
    )
    addresses = (settings.browser.public_url, *okta.development_urls)
    issuer = urlsplit(settings.provider.issuer)
    return Desired(
        org_url=okta.org_url or f"{issuer.scheme}://{issuer.netloc}",
        issuer=settings.provider.issuer,
        label=okta.label or f"BFF {urlsplit(settings.browser.public_url).netloc}",
        label_is_set=okta.label is not None,
        client_id=configured,
        client_secrets=secrets or ((client_secret,) if client_secret else ()),
        client_auth=settings.provider.client_auth,
        public_key=public_key(settings),
        client_uri=settings.browser.public_url,
        redirect_uris=_distinct(address + settings.browser.callback_path for address in addresses),
        post_logout_redirect_uris=_distinct(address + settings.browser.signed_out_path for address in addresses),
        initiate_login_uri=settings.browser.public_url + INITIATE_LOGIN_PATH,
        frontchannel_logout_uri=settings.browser.public_url + FRONTCHANNEL_LOGOUT_PATH
        if okta.frontchannel_logout
        else None,
        scopes=settings.provider.scopes,
        grace=settings.refresh.grace if "offline_access" in settings.provider.scopes else None,
        groups=okta.groups,
        trusted_origins=okta.trusted_origins,
        access_policy=okta.access_policy,
        dpop=settings.provider.dpop == "on",
        prune=prune,
    )


def _distinct(addresses: Any) -> tuple[str, ...]:
    return tuple(dict.fromkeys(addresses))
