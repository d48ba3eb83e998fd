"""One route: a prefix, its upstream, and what a request on it must and may contain.

What the proxy needs in another form than the settings state it (bytes, sets, a TLS context) is derived once and kept.
"""

import re
import ssl
from functools import cached_property
from pathlib import Path
from typing import Annotated, Final, Literal, Self, TypeAlias

from pydantic import BaseModel, BeforeValidator, Field, field_validator

from bff.config import validators
from bff.config.access_rules import AllowRules, compile_rules
from bff.config.browser import is_reserved
from bff.config.field_types import File, Method, Number, OwnPath, Scope, Seconds, Url
from bff.config.identity_assertion import AssertionHeader, IdentityToken, RouteToken, TokenKind
from bff.config.request_headers import conflicting_name
from bff.config.route_headers import AddedHeaders, CookieNames, IdentityHeaders, ReturnedHeaders, SentHeaders
from bff.config.section import FROZEN, over
from bff.config.upstream import Upstream
from bff.errors import ConfigurationError, InvalidRequest
from bff.session.access_rules import AccessRules

MAX_MESSAGE: Final = 16 * 1024 * 1024  # bytes; a message is held in memory as a whole
CsrfRule: TypeAlias = Literal["header", "fetch-metadata"]

_PLAIN: Final = re.compile(rb"[\x21-\x7e]*")  # visible ASCII: the characters allowed in a request target


def _has_dot_segment(path: bytes) -> bool:
    """True if a segment of the path is `.` or `..`, with or without semicolon parameters."""
    return any(segment.partition(b";")[0] in (b".", b"..") for segment in path.split(b"/"))


class Route(BaseModel):
    """One prefix that is forwarded to one upstream: a `[[routes]]` table of bff.toml. Times are in seconds.

    `on_token_expiry` says what happens to an open stream when its access token expires.
    """

    model_config = FROZEN

    prefix: OwnPath = Field(examples=["/placeholder"])
    upstream: Url = Field(examples=["https://placeholder.invalid"])
    allow_http: bool = False
    methods: tuple[Method, ...] = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")
    strip_prefix: bool = False
    ignore_case: bool = False  # the upstream treats /API and /api as one path, and so does the prefix
    token: RouteToken = "user"
    csrf: CsrfRule = "header"
    background: bool = False  # polled by the SPA: its requests do not extend the idle timeout
    timeout: Seconds = 30.0  # to the first byte of the answer
    read_timeout: Seconds = 60.0  # between two reads of the answer
    connect_timeout: Seconds = 5.0
    request_limit: Annotated[int, Number, Field(gt=0)] | None = None  # bytes
    allow: AllowRules = ()
    device_bound: Literal["required"] | None = None
    scopes: Annotated[tuple[Scope, ...], BeforeValidator(validators.words)] = ()
    add_headers: AddedHeaders | None = None
    identity_headers: IdentityHeaders | None = None  # each with the claim of the user that it has
    assertion: AssertionHeader | None = None
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
            raise validators.invalid("covers /auth, which is reserved.", "Choose another prefix, like /api.")
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
        self._needs_token(bool(self.scopes))

    @over("allow", "device_bound", "token")
    def _rules_for_sessions(self) -> None:
        if (self.allow or self.device_bound) and self.token in ("user_or_none", "none"):
            problem = f"or device_bound is set, and token is {self.token}: without a session there is nothing to check."
            raise validators.invalid(problem, 'Set token = "user", or remove the rules.')

    @over("allow_request_headers", "add_headers")
    def _added_headers_are_not_forwarded(self) -> None:
        if (both := conflicting_name(self.allow_request_headers, self.add_headers or ())) is not None:
            raise validators.invalid(f"contains {both}, which add_headers sets.", "Keep one of the two.")

    @over("identity_headers", "token")
    def _identity_of_a_session(self) -> None:
        self._needs_token(bool(self.identity_headers))

    def _needs_token(self, is_set: bool) -> None:
        if is_set and self.token == "none":
            raise validators.invalid("is set, and token is none.", 'Set token = "user", or remove them.')

    @over("identity_headers", "add_headers")
    def _identity_is_not_constant(self) -> None:
        if (both := conflicting_name(self.identity_headers or (), self.add_headers or ())) is not None:
            raise validators.invalid(f"contains {both}, which add_headers sets.", "Keep one of the two.")

    @over("assertion", "token")
    def _one_assertion_about_a_session(self) -> None:
        if self.assertion is not None and not self.sends_access_token:
            problem = "is set, and token is none." if self.token == "none" else "is set, and token is an identity, too."
            raise validators.invalid(problem, 'Set token = "user", or remove one of the two.')

    @over("assertion", "add_headers", "identity_headers")
    def _assertion_has_its_own_header(self) -> None:
        others = (*(self.add_headers or ()), *(self.identity_headers or ()))
        if self.assertion is not None and conflicting_name([self.assertion.header], others) is not None:
            raise validators.invalid("has a header that another setting sets.", "Choose another name.")

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

    # --- derived, once ---

    @classmethod
    def for_spa(cls, upstream: str) -> Self:
        """The route of everything else: to a development server, which reloads the page over a WebSocket."""
        no_token: TokenKind = "none"
        return cls.model_construct(
            prefix="/", upstream=upstream, allow_http=True, methods=("GET", "HEAD"), token=no_token, websocket=True
        )

    def ignoring_case(self) -> Self:
        return self.model_copy(update={"ignore_case": True})

    @cached_property
    def server(self) -> Upstream:
        return Upstream.parse(self.upstream)

    @cached_property
    def own_path(self) -> bytes:
        """The prefix; empty for `/`, which matches every path."""
        return self.prefix.rstrip("/").encode("ascii")

    @cached_property
    def _base_path(self) -> bytes:
        return self.server.base_path.encode("ascii")

    @cached_property
    def required_scopes(self) -> frozenset[str]:
        return frozenset(self.scopes)

    @cached_property
    def access_rules(self) -> AccessRules | None:
        """Compiled; None if every session is allowed."""
        return compile_rules(self.allow)

    @cached_property
    def added_fields(self) -> tuple[tuple[bytes, bytes], ...]:
        """The constants of the operator, possibly secret, with names in lower case."""
        return tuple(
            (name.lower().encode("ascii"), value.get_secret_value().encode("ascii"))
            for name, value in (self.add_headers or {}).items()
        )

    @cached_property
    def sends_access_token(self) -> bool:
        return self.token in ("user", "user_or_none")

    @cached_property
    def identity(self) -> IdentityToken | None:
        """Of the assertion that upstreams get in the place of the access token, or beside it."""
        return self.token if isinstance(self.token, IdentityToken) else self.assertion

    @cached_property
    def identity_fields(self) -> tuple[tuple[bytes, str], ...]:
        """The identity headers in lower case, each with its claim."""
        return tuple((name.lower().encode("ascii"), claim) for name, claim in (self.identity_headers or {}).items())

    @cached_property
    def request_names(self) -> frozenset[bytes]:
        """The names of `allow_request_headers`, in lower case."""
        return frozenset(name.encode("ascii") for name in self.allow_request_headers)

    @cached_property
    def response_names(self) -> frozenset[bytes]:
        """The names of `allow_response_headers`, in lower case."""
        return frozenset(name.encode("ascii") for name in self.allow_response_headers)

    @cached_property
    def cookie_names(self) -> frozenset[bytes]:
        return frozenset(name.encode("ascii") for name in self.allow_cookies)

    @property
    def tls_files(self) -> tuple[Path | None, Path | None, Path | None]:
        return self.ca_file, self.client_cert_file, self.client_key_file

    @cached_property
    def tls(self) -> ssl.SSLContext | None:
        """None: the system's trust store, and no client certificate.

        Raises ConfigurationError for files that are not a certificate or a key.
        """
        if self.tls_files == (None, None, None):
            return None
        try:
            context = ssl.create_default_context(cafile=self.ca_file)
            if self.client_cert_file is not None:
                context.load_cert_chain(self.client_cert_file, self.client_key_file)
        except (ssl.SSLError, OSError, ValueError):
            problem = f"{self.prefix} names a ca_file, client_cert_file or client_key_file that cannot be used."
            fix = "Give PEM files: an unencrypted key, and its certificate."
            raise ConfigurationError("BFF_ROUTES", problem, fix) from None
        return context

    @property
    def carries_credentials(self) -> bool:
        """Whether the forwarded request carries the user's authority, which a page of another site could abuse."""
        return self.token != "none" or bool(self.allow_cookies)

    def covers(self, raw_path: bytes) -> bool:
        """Matches on a segment boundary: `/api` covers `/api` and `/api/x`, not `/apix`."""
        own = self.own_path
        if self.ignore_case:
            return raw_path[: len(own)].lower() == own.lower() and raw_path[len(own) : len(own) + 1] in (b"", b"/")
        return raw_path.startswith(own) and raw_path[len(own) : len(own) + 1] in (b"", b"/")

    def target(self, raw_path: bytes, query: bytes) -> bytes:
        """The request target for the upstream: the client's, byte for byte, except for the prefix.

        Raises InvalidRequest if it would leave the base path or could be parsed as an authority. The request guard
        refuses such paths before; this is the last check before sending.
        """
        path = self._base_path + (raw_path[len(self.own_path) :] if self.strip_prefix else raw_path)
        if not path:
            path = b"/"
        if (
            not self.covers(raw_path)
            or path.startswith(b"//")
            or not path.startswith(self._base_path + b"/" if path != self._base_path else self._base_path)
            or (b"." in path and _has_dot_segment(path))
            or not _PLAIN.fullmatch(path)
            or not _PLAIN.fullmatch(query)
        ):
            raise InvalidRequest("The path cannot be forwarded.")
        return path + b"?" + query if query else path

    def public_path(self, upstream_path: str) -> str | None:
        """The public path of an upstream path; None if it lies outside this route."""
        base = self.server.base_path
        if upstream_path != base and not upstream_path.startswith(base + "/"):
            return None
        rest = upstream_path[len(base) :]
        public = self.own_path.decode("ascii") + rest if self.strip_prefix else rest
        head = public.partition("?")[0].partition("#")[0].encode("ascii", "replace")
        return public if self.covers(head) and not public.startswith("//") else None
