"""One route: a prefix, its upstream, and what a request on it must and may contain."""

from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import BaseModel, BeforeValidator, Field, field_validator

from bff.config import validators
from bff.config.browser import is_reserved
from bff.config.field_types import File, Method, Number, OwnPath, Scope, Seconds, Url
from bff.config.request_headers import conflicting_name
from bff.config.route_headers import AddedHeaders, CookieNames, ReturnedHeaders, SentHeaders
from bff.config.section import FROZEN, over

MAX_MESSAGE: Final = 16 * 1024 * 1024  # bytes; a message is held in memory as a whole


class RouteSettings(BaseModel):
    """One prefix that is forwarded to one upstream: a `[[routes]]` table of bff.toml."""

    model_config = FROZEN

    prefix: OwnPath = Field(examples=["/placeholder"])
    upstream: Url = Field(examples=["https://placeholder.invalid"])
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
    request_limit: Annotated[int, Number, Field(gt=0)] | None = None  # bytes
    scopes: Annotated[tuple[Scope, ...], BeforeValidator(validators.words)] = ()
    add_headers: AddedHeaders | None = None
    allow_request_headers: SentHeaders = ()
    allow_response_headers: ReturnedHeaders = ()
    allow_cookies: CookieNames = ()
    allow_shared_cache: bool = False
    websocket: bool = False
    message_limit: Annotated[int, Number, Field(gt=0, le=MAX_MESSAGE)] = 1048576  # bytes
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
        if is_reserved(prefix.lower()):
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

    @field_validator("scopes")
    @classmethod
    def _without_repeats(cls, scopes: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(dict.fromkeys(scopes))

    @over("allow_http", "upstream")
    def _no_token_over_http(self) -> None:
        if self.upstream.startswith("http:") and not self.allow_http:
            parts = validators.url(self.upstream, example="https://api.example.com")
            if not validators.is_loopback(parts.hostname):
                fix = "Use https in upstream, or set allow_http = true where the network itself is trusted."
                raise validators.invalid("is false, and the upstream is http, not on this machine.", fix)

    @over("scopes", "token")
    def _scopes_of_a_token(self) -> None:
        if self.scopes and self.token == "none":
            raise validators.invalid("is set, and token is none.", 'Set token = "user", or remove them.')

    @over("allow_request_headers", "add_headers")
    def _added_headers_are_not_forwarded(self) -> None:
        if (both := conflicting_name(self.allow_request_headers, self.add_headers or ())) is not None:
            raise validators.invalid(f"contains {both}, which add_headers sets.", "Keep one of the two.")

    @over("ca_file", "upstream")
    def _ca_needs_https(self) -> None:
        self._needs_https(self.ca_file)

    @over("client_cert_file", "upstream")
    def _certificate_needs_https(self) -> None:
        self._needs_https(self.client_cert_file)

    @over("client_key_file", "client_cert_file")
    def _key_with_certificate(self) -> None:
        if self.client_key_file is not None and self.client_cert_file is None:
            raise validators.invalid("is set without client_cert_file.", "Set both: the certificate and its key.")

    def _needs_https(self, file: Path | None) -> None:
        if file is not None and self.upstream.startswith("http:"):
            raise validators.invalid("is set, and the upstream is http.", "Use https in upstream, or remove it.")

    def covers(self, path: str) -> bool:
        prefix = self.prefix
        if self.ignore_case:
            path, prefix = path.lower(), prefix.lower()
        return path == prefix or path.startswith(prefix + "/")


def distinct_prefixes(routes: tuple[RouteSettings, ...]) -> tuple[RouteSettings, ...]:
    """Refuses two routes of one prefix, and of one prefix in two cases where one of them ignores case."""
    if len({route.prefix for route in routes}) < len(routes):
        raise validators.invalid("contains one prefix twice.", "Keep one route for each prefix.")
    folded = [route.prefix.lower() for route in routes]
    for route in routes:
        if route.ignore_case and folded.count(route.prefix.lower()) > 1:
            problem = f"contains {route.prefix}, which ignores case, and the same prefix in another case."
            raise validators.invalid(problem, "Keep one of them, or remove ignore_case.")
    return routes
