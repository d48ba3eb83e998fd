"""The settings: one frozen object, read once at start-up.

All problems are reported together, each with its fix. Sign-in settings are in `bff.config.sign_in`, process settings in
`bff.config.server`, single-value validators in `bff.config.validators`, sources in `bff.config.sources`; cross-field
validators are here. docs/settings.md is the reference, and a test keeps it complete.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal, TypeAlias

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    SecretStr,
    ValidationError,
    ValidationInfo,
    field_validator,
)
from pydantic_core import ErrorDetails

from bff.config import validators
from bff.config.request_headers import conflicting_name
from bff.config.routes import FROZEN, CallbackPath, Origin, PagePath, RouteSettings, Seconds, Url, WholeSeconds
from bff.config.server import ProcessSettings, check_loopback
from bff.config.sign_in import SIGN_IN_LISTS, Algorithm, SignInSettings, is_okta
from bff.config.sources import MISSING, PREFIX, ConfigurationErrors, Gathered, gather, unknown
from bff.config.validators import invalid
from bff.errors import ConfigurationError

Words: TypeAlias = Annotated[tuple[str, ...], BeforeValidator(validators.words)]
Secret: TypeAlias = Annotated[SecretStr, AfterValidator(validators.client_secret)]
SessionKey: TypeAlias = Annotated[SecretStr, AfterValidator(validators.session_key)]


class Settings(ProcessSettings, SignInSettings):
    """Every setting. Each is read from BFF_<NAME> or from <name> in bff.toml; times are in seconds."""

    model_config = FROZEN

    # --- the provider
    issuer: Annotated[str, AfterValidator(validators.issuer)]
    client_id: Annotated[str, AfterValidator(validators.filled)]
    client_auth: Literal["client_secret_basic", "client_secret_post", "client_secret_jwt", "private_key_jwt"] = (
        "client_secret_basic"
    )
    client_secret: Secret | None = None
    client_secret_next: Secret | None = None
    client_private_key: SecretStr | None = None
    client_key_id: str | None = None
    scopes: Words = ("openid", "profile", "email", "offline_access")
    id_token_algorithms: Annotated[tuple[Algorithm, ...], BeforeValidator(validators.words)] = ("RS256",)
    clock_skew: Annotated[int, BeforeValidator(validators.number), Field(ge=0, le=300)] = 60
    provider_proxy: Annotated[str, AfterValidator(validators.proxy)] | None = Field(None, repr=False)  # a secret
    provider_ca_file: Annotated[Path, AfterValidator(validators.file)] | None = None
    provider_timeout: Annotated[Seconds, Field(le=60)] = 8.0
    sign_out_hint: Literal["required", "optional", "never"] = "required"

    # --- what browsers see
    public_url: Origin
    callback_path: CallbackPath = "/authorization-code/callback"
    landing_path: PagePath = "/"
    signed_out_path: PagePath = "/"
    page_style_file: Annotated[Path, AfterValidator(validators.style_sheet)] | None = None
    allowed_origins: Annotated[tuple[Origin, ...], BeforeValidator(validators.words)] = ()
    user_claims: Words = (
        *("sub", "name", "given_name", "family_name", "preferred_username"),
        *("email", "picture", "locale", "zoneinfo", "groups"),
    )

    # --- sessions
    session_keys: Annotated[tuple[SessionKey, ...], BeforeValidator(validators.words)]
    store: Annotated[str, AfterValidator(validators.store)] = Field("sqlite:///var/bff.db", repr=False)  # a secret
    allow_evicting_store: bool = False
    idle_timeout: WholeSeconds = 3600
    absolute_timeout: WholeSeconds = 43200
    refresh_token_lifetime: WholeSeconds | None = None
    login_lifetime: Annotated[WholeSeconds, Field(ge=60, le=3600)] = 600

    # --- refresh
    refresh_before_expiry: Annotated[
        float, BeforeValidator(validators.number), Field(ge=0, le=3600, allow_inf_nan=False)
    ] = 60.0
    refresh_timeout: Annotated[Seconds, Field(le=60)] = 8.0
    refresh_lease: Annotated[Seconds, Field(le=120)] = 10.0
    refresh_grace: Annotated[int, BeforeValidator(validators.number), Field(ge=0, le=60)] = 30
    refresh_after_grace: bool = True
    refresh_concurrency: Annotated[int, BeforeValidator(validators.number), Field(ge=1, le=1000)] = 20

    # --- the data plane
    routes: tuple[RouteSettings, ...] = ()
    spa_dir: Annotated[Path, AfterValidator(validators.spa_dir)] | None = None
    spa_upstream: Url | None = None

    # --- cross-field validators ---

    @field_validator("client_secret")
    @classmethod
    def _secret_for_method(cls, secret: SecretStr | None, info: ValidationInfo) -> SecretStr | None:
        method = str(info.data.get("client_auth", "private_key_jwt"))
        if method != "private_key_jwt" and secret is None:
            fix = "Set BFF_CLIENT_SECRET_FILE to a file that holds it, or BFF_CLIENT_SECRET."
            raise invalid(f"is missing, and client_auth is {method}.", fix)
        if method == "client_secret_jwt" and secret and len(secret.get_secret_value()) < 32:
            raise invalid("is shorter than the 32 characters client_secret_jwt needs.", "Make a longer one in Okta.")
        return secret

    @field_validator("client_private_key")
    @classmethod
    def _key_for_method(cls, key: SecretStr | None, info: ValidationInfo) -> SecretStr | None:
        method = info.data.get("client_auth")
        if method == "private_key_jwt" and key is None:
            fix = "Set BFF_CLIENT_PRIVATE_KEY_FILE to a file with the key as PEM or JWK."
            raise invalid("is missing, and client_auth is private_key_jwt.", fix)
        if method not in (None, "private_key_jwt") and key is not None:
            raise invalid(f"is set, and client_auth is {method}.", "Remove it, or set client_auth = private_key_jwt.")
        return validators.private_key(key) if key else None

    @field_validator("sign_out_hint")
    @classmethod
    def _hint_at_okta(cls, hint: str, info: ValidationInfo) -> str:
        if hint != "required" and is_okta(str(info.data.get("issuer", ""))):
            raise invalid(f"is {hint}, and Okta requires an ID token for logout.", "Remove it.")
        return hint

    @field_validator("scopes")
    @classmethod
    def _openid_scope(cls, scopes: tuple[str, ...]) -> tuple[str, ...]:
        if "openid" not in scopes:
            raise invalid("must include openid.", "Add openid.")
        return tuple(dict.fromkeys(validators.scope(scope) for scope in scopes))

    @field_validator("user_claims")
    @classmethod
    def _claims_with_sub(cls, claims: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        if "sub" not in claims:
            raise invalid("must include sub, which identifies the user to the SPA.", "Add sub.")
        headers = info.data.get("forward_auth_headers", ())
        if unknown := sorted({header.partition("=")[2] for header in headers} - {*claims}):
            fix = "Add it: a session keeps only the listed claims."
            raise invalid(f"do not include {unknown[0]}, which forward_auth_headers needs.", fix)
        return tuple(dict.fromkeys(claims))

    @field_validator("id_token_algorithms")
    @classmethod
    def _some_algorithm(cls, algorithms: tuple[Algorithm, ...]) -> tuple[Algorithm, ...]:
        if not algorithms:
            raise invalid("is empty.", "Name at least one; Okta signs with RS256.")
        return algorithms

    @field_validator("session_keys")
    @classmethod
    def _different_keys(cls, keys: tuple[SecretStr, ...]) -> tuple[SecretStr, ...]:
        if not keys:
            raise invalid("is empty.", validators.NEW_KEY)
        if len({validators.key_bytes(key) for key in keys}) < len(keys):
            raise invalid("contains one key twice.", "Keep each key once, the newest first.")
        return keys

    @field_validator("absolute_timeout")
    @classmethod
    def _idle_within_absolute(cls, absolute: int, info: ValidationInfo) -> int:
        if info.data.get("idle_timeout", 0) > absolute:
            raise invalid("is shorter than idle_timeout.", "Make idle_timeout the shorter one.")
        return absolute

    @field_validator("refresh_lease")
    @classmethod
    def _answer_within_lease(cls, lease: float, info: ValidationInfo) -> float:
        if info.data.get("refresh_timeout", 0) >= lease:
            fix = "Make refresh_lease the longer one: the defaults are 8 and 10."
            raise invalid("is not longer than refresh_timeout.", fix)
        return lease

    @field_validator("landing_path", "signed_out_path")
    @classmethod
    def _no_page_at_the_callback(cls, path: str, info: ValidationInfo) -> str:
        if path == info.data.get("callback_path"):
            raise invalid("is the callback path, which starts sign-ins.", "Give the path of a page, like /.")
        return path

    @field_validator("public_url")
    @classmethod
    def _plain_http_stays_here(cls, public_url: str, info: ValidationInfo) -> str:
        if public_url.startswith("http:"):
            check_loopback(info.data)
        return public_url

    @field_validator("routes")
    @classmethod
    def _routes_apart(cls, routes: tuple[RouteSettings, ...], info: ValidationInfo) -> tuple[RouteSettings, ...]:
        callback = info.data.get("callback_path", "")
        for route in routes:
            if route.covers(callback):
                raise invalid(f"contains {route.prefix}, which covers the callback path.", "Choose another prefix.")
            if beyond := sorted(set(route.scopes) - set(info.data.get("scopes", route.scopes))):
                raise invalid(
                    (f"requires {' '.join(beyond)} at {route.prefix}, which BFF_SCOPES does not request."),
                    "Add it to BFF_SCOPES.",
                )
            identity = [pair.partition("=")[0] for pair in info.data.get("forward_auth_headers", ())]
            if (forged := conflicting_name(route.allow_request_headers, identity)) is not None:
                problem = (
                    f"allows {forged} at {route.prefix}, which BFF_FORWARD_AUTH_HEADERS uses as an identity header."
                )
                raise invalid(problem, "Remove it, or rename one of the two.")
        if len({route.prefix for route in routes}) < len(routes):
            raise invalid("contains one prefix twice.", "Keep one route for each prefix.")
        folded = [route.prefix.lower() for route in routes]
        for route in routes:
            if route.ignore_case and folded.count(route.prefix.lower()) > 1:
                problem = f"contains {route.prefix}, which ignores case, and the same prefix in another case."
                raise invalid(problem, "Keep one of them, or remove ignore_case.")
        return routes

    @field_validator("spa_upstream")
    @classmethod
    def _one_spa(cls, upstream: str | None, info: ValidationInfo) -> str | None:
        if upstream is not None and info.data.get("spa_dir") is not None:
            raise invalid("and spa_dir are both set.", "Keep one of them.")
        return upstream

    # --- derived values ---

    @property
    def redirect_uri(self) -> str:
        """The sign-in redirect URI to register in Okta. It never follows the Host header."""
        return self.public_url + self.callback_path

    @property
    def post_logout_redirect_uri(self) -> str:
        """The sign-out redirect URI to register in Okta."""
        return self.public_url + self.signed_out_path

    @property
    def cookies_secure(self) -> bool:
        """False only for an http public URL on this machine, where Safari rejects Secure cookies."""
        return self.public_url.startswith("https:")

    @property
    def session_key_ring(self) -> tuple[bytes, ...]:
        """The session keys as 32 bytes each, newest first."""
        return tuple(key for text in self.session_keys if (key := validators.key_bytes(text)) is not None)


# An empty variable means an empty list for these, and "not set" for all others.
LISTS = frozenset(
    {"scopes", "id_token_algorithms", "allowed_origins", "user_claims", "trusted_proxies"}
    | {"forward_auth_headers", *SIGN_IN_LISTS}
)
SECRETS = frozenset(
    {"client_secret", "client_secret_next", "client_private_key", "session_keys", "store", "provider_proxy"}
)


def load_settings(
    environ: Mapping[str, str], toml_path: Path | None = None, *, placeholders: Mapping[str, str] | None = None
) -> Settings:
    """Reads all sources.

    Raises ConfigurationErrors, a ConfigurationError that lists every problem, and no secret. `placeholders` replace
    missing or unreadable values, for commands that do not need them.
    """
    known = frozenset(Settings.model_fields)
    gathered = gather(environ, toml_path, known=known, secret=SECRETS, lists=LISTS)
    gathered.fill_placeholders(placeholders or {})
    problems = gathered.problems
    try:
        settings = Settings.model_validate(gathered.values)
    except ValidationError as error:
        # An unreadable value has already been reported, so it is not reported as missing too.
        problems += [
            _configuration_error(detail, gathered)
            for detail in error.errors(include_input=False, include_url=False)
            if detail["loc"][0] not in gathered.names or detail["loc"][0] in gathered.values
        ]
    else:
        if not problems:
            return settings
    raise ConfigurationErrors(tuple(problems)) from None


def _configuration_error(detail: ErrorDetails, gathered: Gathered) -> ConfigurationError:
    """A pydantic error as setting, problem and fix. `detail` does not include the input."""
    name, *rest = detail["loc"]
    head, blank, place = gathered.names.get(str(name), f"{PREFIX}{str(name).upper()}").partition(" ")
    called = head + "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in rest) + blank + place
    context = detail.get("ctx", {})
    match detail["type"]:
        case "setting":
            return ConfigurationError(called, context["problem"], context["fix"])
        case "missing":
            fix = MISSING.get(str(name)) or "Add it; docs/settings.md has an example."
            return ConfigurationError(called, "is missing.", fix)
        case "extra_forbidden":
            return unknown(called, str(rest[-1]), frozenset(RouteSettings.model_fields))
        case "tuple_type":
            return ConfigurationError(called, "is not a list.", "See docs/settings.md.")
        case "literal_error":
            return ConfigurationError(called, f"should be {context['expected']}.", "Choose one of these.")
        case _:
            default = Settings.model_fields[str(name)].default
            fix = f"The default is {default}." if isinstance(default, int | float) else "See docs/settings.md."
            return ConfigurationError(called, f"{detail['msg'].replace('Input should', 'should')}.", fix)
