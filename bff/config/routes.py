"""One route: a prefix, its upstream, and what a request on it must and may contain."""

from pathlib import Path
from typing import Annotated, Literal, TypeAlias

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationInfo, field_validator

from bff.config import validators
from bff.config.request_headers import conflicting_name
from bff.config.route_headers import AddedHeaders, CookieNames, ReturnedHeaders, SentHeaders

# A rejected value is not repeated: it may be a secret.
FROZEN = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True, validate_default=True)

OwnPath: TypeAlias = Annotated[str, AfterValidator(validators.path)]
Origin: TypeAlias = Annotated[str, AfterValidator(validators.origin)]
WholeSeconds: TypeAlias = Annotated[int, BeforeValidator(validators.number), Field(gt=0, le=86400 * 366)]
Url: TypeAlias = Annotated[str, AfterValidator(validators.base_url)]
Seconds: TypeAlias = Annotated[
    float, BeforeValidator(validators.number), Field(gt=0, le=86400 * 366, allow_inf_nan=False)
]
Method: TypeAlias = Literal["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]

Scope: TypeAlias = Annotated[str, AfterValidator(validators.scope)]
File: TypeAlias = Annotated[Path, AfterValidator(validators.file)]

RESERVED = "/auth"
# Paths of the BFF's own endpoints; the callback must not be one of them.
ENDPOINTS = frozenset(
    {"/auth/login", "/auth/landing", "/auth/session", "/auth/session/extend", "/auth/sessions", "/auth/sessions/end"}
    | {"/auth/logout", "/auth/logout/provider"}
    | {"/auth/backchannel-logout", "/auth/frontchannel-logout", "/auth/global-token-revocation"}
    | {"/auth/verify"}
)
MAX_MESSAGE = 16 * 1024 * 1024  # bytes; a message is held in memory as a whole


def _callback(path: str) -> str:
    fix = "Keep /authorization-code/callback, as Okta documents it."
    if path == "/" or path.endswith("/"):
        raise validators.invalid("is / or ends with a slash.", fix)
    if path in ENDPOINTS:
        raise validators.invalid("is the path of another endpoint of the BFF.", fix)
    return path


def _page(path: str) -> str:
    if _is_reserved(path):
        raise validators.invalid("is below /auth, which is reserved for the BFF.", "Give the path of a page, like /.")
    return path


def _is_reserved(path: str) -> bool:
    return path == RESERVED or path.startswith(RESERVED + "/")


CallbackPath: TypeAlias = Annotated[OwnPath, AfterValidator(_callback)]
PagePath: TypeAlias = Annotated[OwnPath, AfterValidator(_page)]  # application pages


class RouteSettings(BaseModel):
    """One prefix that is forwarded to one upstream: a `[[routes]]` table of bff.toml."""

    model_config = FROZEN

    prefix: OwnPath
    upstream: Url
    allow_http: bool = False
    methods: tuple[Method, ...] = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")
    strip_prefix: bool = False
    ignore_case: bool = False  # the upstream treats /API and /api as one path, and so does the prefix
    token: Literal["user", "user_or_none", "none"] = "user"
    csrf: Literal["header", "fetch-metadata"] = "header"
    background: bool = False  # polled by the SPA: its requests do not extend the idle timeout
    timeout: Seconds = 30.0  # to the first byte of the answer
    read_timeout: Seconds = 60.0  # between two reads of the answer
    connect_timeout: Seconds = 5.0
    request_limit: Annotated[int, BeforeValidator(validators.number), Field(gt=0)] | None = None  # bytes
    scopes: Annotated[tuple[Scope, ...], BeforeValidator(validators.words)] = ()
    add_headers: AddedHeaders | None = None
    allow_request_headers: SentHeaders = ()
    allow_response_headers: ReturnedHeaders = ()
    allow_cookies: CookieNames = ()
    allow_shared_cache: bool = False
    websocket: bool = False
    message_limit: Annotated[int, BeforeValidator(validators.number), Field(gt=0, le=MAX_MESSAGE)] = 1048576  # bytes
    on_token_expiry: Literal["keep", "close"] = "keep"
    ca_file: File | None = None
    client_cert_file: File | None = None
    client_key_file: File | None = None

    @field_validator("prefix")
    @classmethod
    def _plain_prefix(cls, prefix: str) -> str:
        if prefix.endswith("/"):
            raise validators.invalid(
                "ends with a slash.", f"Write {prefix.rstrip('/') or '/api'}: it covers everything below it."
            )
        if any(segment.endswith(".") for segment in prefix.split("/")):
            raise validators.invalid("has a dot at the end of a segment.", "Remove the dot: some servers ignore it.")
        if _is_reserved(prefix.lower()):
            raise validators.invalid(
                ("covers /auth, which is reserved for the BFF."), "Choose another prefix, like /api."
            )
        return prefix

    @field_validator("methods")
    @classmethod
    def _some_method(cls, methods: tuple[Method, ...]) -> tuple[Method, ...]:
        if not methods:
            raise validators.invalid("is empty.", "Name at least one, or leave methods out for the usual ones.")
        return methods

    @field_validator("allow_http")
    @classmethod
    def _no_token_over_http(cls, allow_http: bool, info: ValidationInfo) -> bool:
        upstream = info.data.get("upstream", "")
        if upstream.startswith("http:") and not allow_http:
            parts = validators.url(upstream, example="https://api.example.com")
            if not validators.is_loopback(parts.hostname):
                fix = "Use https in upstream, or set allow_http = true where the network itself is trusted."
                raise validators.invalid("is false, and the upstream is http, not on this machine.", fix)
        return allow_http

    @field_validator("scopes")
    @classmethod
    def _scopes_of_a_token(cls, scopes: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        if scopes and info.data.get("token") == "none":
            raise validators.invalid("is set, and token is none.", 'Set token = "user", or remove them.')
        return tuple(dict.fromkeys(scopes))

    @field_validator("allow_request_headers")
    @classmethod
    def _not_ours_to_add(cls, names: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        if (both := conflicting_name(names, info.data.get("add_headers") or ())) is not None:
            raise validators.invalid(f"contains {both}, which add_headers sets.", "Keep one of the two.")
        return names

    @field_validator("ca_file", "client_cert_file")
    @classmethod
    def _tls_needs_https(cls, file: Path | None, info: ValidationInfo) -> Path | None:
        if file is not None and str(info.data.get("upstream", "https:")).startswith("http:"):
            raise validators.invalid("is set, and the upstream is http.", "Use https in upstream, or remove it.")
        return file

    @field_validator("client_key_file")
    @classmethod
    def _key_with_certificate(cls, file: Path | None, info: ValidationInfo) -> Path | None:
        if file is not None and info.data.get("client_cert_file", file) is None:
            raise validators.invalid("is set without client_cert_file.", "Set both: the certificate and its key.")
        return file

    def covers(self, path: str) -> bool:
        prefix = self.prefix
        if self.ignore_case:
            path, prefix = path.lower(), prefix.lower()
        return path == prefix or path.startswith(prefix + "/")
