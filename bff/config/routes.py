"""One route: a prefix, its upstream, and what a request on it must and may contain.

What the proxy needs in another form than the settings state it (bytes, sets) is derived once and kept.
"""

from functools import cached_property
from typing import Annotated, Final, Literal, Self, TypeAlias

from pydantic import BeforeValidator, Field, field_validator

from bff.config import validators
from bff.config.access_rules import AllowRules, compile_rules
from bff.config.api_tokens import ApiToken
from bff.config.field_types import Method, Number, Scope, Seconds
from bff.config.identity_assertion import AssertionHeader, IdentityToken
from bff.config.request_headers import conflicting_name
from bff.config.route_headers import AddedHeaders, CookieNames, IdentityHeaders, ReturnedHeaders, SentHeaders
from bff.config.route_tls import RouteTls
from bff.config.route_token import RouteToken, TokenKind
from bff.config.section import over
from bff.session.access_rules import AccessRules

MAX_MESSAGE: Final = 16 * 1024 * 1024  # bytes; a message is held in memory as a whole
CsrfRule: TypeAlias = Literal["header", "fetch-metadata"]


class Route(RouteTls):
    """One prefix that is forwarded to one upstream: a `[[routes]]` table of bff.toml. Times are in seconds.

    `on_token_expiry` says what happens to an open stream when its access token expires.
    """

    methods: tuple[Method, ...] = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")
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

    # --- derived, once ---

    @classmethod
    def for_spa(cls, upstream: str) -> Self:
        """The route of everything else: to a development server, which reloads the page over a WebSocket."""
        no_token: TokenKind = "none"
        return cls.model_construct(
            prefix="/", upstream=upstream, allow_http=True, methods=("GET", "HEAD"), token=no_token, websocket=True
        )

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
        return self.sends_users_token or self.api_token is not None

    @cached_property
    def sends_users_token(self) -> bool:
        """Whether upstreams get the access token of the session itself."""
        return self.token in ("user", "user_or_none")

    @cached_property
    def api_token(self) -> ApiToken | None:
        """The access token that is requested for the APIs of this route; None if upstreams get another one, or none."""
        return None if isinstance(self.token, str | IdentityToken) else self.token

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
    def carries_credentials(self) -> bool:
        """Whether the forwarded request carries the user's authority, which a page of another site could abuse."""
        return self.token != "none" or bool(self.allow_cookies)
