"""What browsers see: the public address, our own paths and pages, the SPA, and other origins that may call."""

from pathlib import Path
from typing import Annotated, Final, TypeAlias

from pydantic import AfterValidator, BaseModel, BeforeValidator, Field

from bff.config import validators
from bff.config.field_types import Origin, OwnPath, Url
from bff.config.section import FROZEN, over
from bff.config.validators import invalid

RESERVED: Final = "/auth"
VERIFY: Final = "/auth/verify"  # forward authentication
SESSION_EVENTS: Final = "/auth/session/events"
DEVICE_REGISTRATION: Final = "/auth/device-binding/registration"
DEVICE_REFRESH: Final = "/auth/device-binding/refresh"
# Where our public keys are, if there are any (RFC 8615). No route can be configured there: prefixes have no dots.
KEY_SET_PATH: Final = "/.well-known/jwks.json"
# Paths of the BFF's own endpoints; the callback must not be one of them.
ENDPOINTS: Final = frozenset(
    {"/auth/login", "/auth/landing", "/auth/popup", "/auth/session", "/auth/session/extend", SESSION_EVENTS}
    | {"/auth/sessions", "/auth/sessions/end", DEVICE_REGISTRATION, DEVICE_REFRESH}
    | {"/auth/logout", "/auth/logout/provider"}
    | {"/auth/backchannel-logout", "/auth/frontchannel-logout", "/auth/global-token-revocation"}
    | {"/auth/security-events", VERIFY}
)


def is_reserved(path: str) -> bool:
    """Whether a path is below /auth, where only the BFF answers."""
    return path == RESERVED or path.startswith(RESERVED + "/")


def _callback(path: str) -> str:
    fix = "Keep /authorization-code/callback, as Okta documents it."
    if path == "/" or path.endswith("/"):
        raise invalid("is / or ends with a slash.", fix)
    if path in ENDPOINTS:
        raise invalid("is the path of another endpoint of the BFF.", fix)
    return path


def _page(path: str) -> str:
    if is_reserved(path):
        raise invalid("is below /auth, which is reserved for the BFF.", "Give the path of a page, like /.")
    return path


CallbackPath: TypeAlias = Annotated[OwnPath, AfterValidator(_callback)]
PagePath: TypeAlias = Annotated[OwnPath, AfterValidator(_page)]  # application pages


class BrowserSettings(BaseModel):
    """`public_url` is the origin that users see; everything that leaves the BFF as a URL is built from it."""

    model_config = FROZEN

    public_url: Origin = Field(examples=["https://placeholder.invalid"])
    callback_path: CallbackPath = "/authorization-code/callback"
    landing_path: PagePath = "/"
    signed_out_path: PagePath = "/"
    allowed_origins: Annotated[tuple[Origin, ...], BeforeValidator(validators.words)] = ()
    page_style_file: Annotated[Path, AfterValidator(validators.style_sheet)] | None = None

    @over("landing_path", "callback_path")
    def _landing_page_apart(self) -> None:
        self._refuse_the_callback(self.landing_path)

    @over("signed_out_path", "callback_path")
    def _signed_out_page_apart(self) -> None:
        self._refuse_the_callback(self.signed_out_path)

    def _refuse_the_callback(self, path: str) -> None:
        if path == self.callback_path:
            raise invalid("is the callback path, which starts sign-ins.", "Give the path of a page, like /.")

    @property
    def redirect_uri(self) -> str:
        """The redirect URI to register at the provider. It never follows the Host header."""
        return self.public_url + self.callback_path

    @property
    def post_logout_redirect_uri(self) -> str:
        """The post-logout redirect URI to register at the provider."""
        return self.public_url + self.signed_out_path

    @property
    def backchannel_logout_uri(self) -> str:
        """The URL to register at the provider for OpenID Connect Back-Channel Logout."""
        return f"{self.public_url}/auth/backchannel-logout"

    @property
    def revocation_endpoint(self) -> str:
        """The URL to register in Okta for Universal Logout."""
        return f"{self.public_url}/auth/global-token-revocation"

    @property
    def security_events_endpoint(self) -> str:
        """The delivery URL to register at the transmitter of security events."""
        return f"{self.public_url}/auth/security-events"

    @property
    def cookies_secure(self) -> bool:
        """False only for an http public URL on this machine, where Safari rejects Secure cookies."""
        return self.public_url.startswith("https:")

    def page_style(self) -> str | None:
        """The operator's style sheet for error pages, read from its file."""
        return None if self.page_style_file is None else self.page_style_file.read_text("utf-8")


class SpaSettings(BaseModel):
    """Who serves the single-page application: the BFF from a directory, or a development server; None: neither."""

    model_config = FROZEN

    dir: Annotated[Path, AfterValidator(validators.spa_dir)] | None = Field(default=None, validation_alias="spa_dir")
    upstream: Url | None = Field(default=None, validation_alias="spa_upstream")

    @over("spa_upstream", "spa_dir")
    def _one_spa(self) -> None:
        if self.upstream is not None and self.dir is not None:
            raise invalid("and spa_dir are both set.", "Keep one of them.")
