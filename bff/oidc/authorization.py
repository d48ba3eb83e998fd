"""The authorization request we build, and the response a browser brings back (RFC 6749 section 4.1, RFC 9207)."""

import re
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Final, TypeAlias
from urllib.parse import unquote_to_bytes, urlsplit

from bff.oidc.error_codes import UNREADABLE
from bff.oidc.form_fields import FormFields, encode_query
from bff.oidc.metadata import ProviderMetadata

MAX_QUERY_LENGTH: Final = 16 * 1024
MAX_LENGTHS: Final = {"code": 4096, "state": 2048, "iss": 2048, "error": 128}
MAX_DESCRIPTION_LENGTH: Final = 500

# For a duplicate parameter, parsers that take the first and parsers that take the last disagree (RFC 6749 section 3.1
# forbids it).
_SINGLE: Final = frozenset({"code", "state", "iss", "error", "error_description", "error_uri"})
# RFC 6749 section 4.1.2.1 allows ASCII only. Some providers send text in another language or encoding: the response is
# still an error response, and must not lose its state.
_FOR_LOGS: Final = frozenset({"error", "error_description", "error_uri"})
# Response parameters of flows and modes that are never requested.
_UNASKED: Final = frozenset({"id_token", "access_token", "response"})
_ESCAPES: Final = re.compile(r"(?:[^%]|%[0-9A-Fa-f]{2})*")


@dataclass(frozen=True, slots=True)
class Code:
    """An authorization code, not yet redeemed. `iss` still has to be validated (`validate_issuer`)."""

    code: str = field(repr=False)
    state: str = field(repr=False)
    iss: str | None = None


@dataclass(frozen=True, slots=True)
class AuthorizationError:
    """An error response. `description` is the provider's text: shortened, without control characters, for logs only."""

    error: str
    description: str = ""
    state: str | None = field(default=None, repr=False)
    iss: str | None = None


@dataclass(frozen=True, slots=True)
class NoParameters:
    """No response parameters, at most an `iss`: Okta's Initiate login URI points to the callback. Starts a sign-in."""

    iss: str | None = None


@dataclass(frozen=True, slots=True)
class Malformed:
    """Unusable. `reason` is our own text and safe to show."""

    reason: str


@dataclass(frozen=True, slots=True)
class SignInOptions:
    """What a sign-in requests beyond authentication (OIDC Core section 3.1.2.1).

    `max_age` is in seconds; `idp` is Okta's parameter for an external identity provider. None of it is secret.
    """

    prompt: str | None = None
    max_age: int | None = None
    acr_values: tuple[str, ...] = ()
    login_hint: str | None = field(default=None, repr=False)
    idp: str | None = None

    @property
    def silent(self) -> bool:
        """Only checks for a provider session: the provider shows no page (`prompt=none`)."""
        return self.prompt == "none"

    def parameters(self) -> dict[str, str]:
        """The parameters that are set, in wire format."""
        written = {
            "prompt": self.prompt,
            "max_age": None if self.max_age is None else str(self.max_age),
            "acr_values": " ".join(self.acr_values) or None,
            "login_hint": self.login_hint,
            "idp": self.idp,
        }
        return {name: value for name, value in written.items() if value is not None}


PLAIN: Final = SignInOptions()

AuthorizationResponse: TypeAlias = Code | AuthorizationError | NoParameters | Malformed


def authorization_parameters(
    *,
    client_id: str,
    redirect_uri: str,
    scopes: Collection[str],
    state: str,
    nonce: str,
    code_challenge: str,
    options: SignInOptions = PLAIN,
    response_mode: str = "query",
    resources: Collection[str] = (),
) -> dict[str, str | tuple[str, ...]]:
    """The authorization request (OIDC Core section 3.1.2.1), for the browser or for a push (RFC 9126).

    `resources` are those that tokens will be requested for (RFC 8707 section 2).
    """
    return {
        "response_type": "code",
        "response_mode": response_mode,
        "client_id": client_id,
        "redirect_uri": redirect_uri,
        "scope": " ".join(scopes),
        "state": state,
        "nonce": nonce,
        "code_challenge": code_challenge,
        "code_challenge_method": "S256",
        **options.parameters(),
        **({"resource": tuple(resources)} if resources else {}),
    }


def authorization_url(metadata: ProviderMetadata, parameters: FormFields) -> str:
    """The URL that the browser is redirected to."""
    return with_query(metadata.authorization_endpoint, parameters)


def with_query(endpoint: str, parameters: FormFields) -> str:
    """Appends a query, keeping an existing one (RFC 6749 section 3.1)."""
    separator = "&" if urlsplit(endpoint).query else "" if endpoint.endswith("?") else "?"
    return f"{endpoint}{separator}{encode_query(parameters)}"


def read_authorization_response(query: str | bytes) -> AuthorizationResponse:
    """Parses the callback's query, or the body of a form_post response.

    Never raises; unknown parameters are ignored.
    """
    if isinstance(query, bytes):
        query = query.decode("latin-1")
    if len(query) > MAX_QUERY_LENGTH:
        return Malformed("it is too long")
    values: dict[str, str] = {}
    for pair in query.split("&"):
        name, _, raw = pair.partition("=")
        if (name := _decode(name) or "") in _UNASKED:
            return Malformed("it contains parameters of a flow that was not requested")
        if name not in _SINGLE:
            continue
        value = _decode(raw)
        if value is None:
            if name not in _FOR_LOGS:
                return Malformed(f"{name} is not UTF-8 text")
            value = "\N{REPLACEMENT CHARACTER}"
        if name in values:
            return Malformed(f"{name} appears twice")
        values[name] = value
    for name, limit in MAX_LENGTHS.items():
        value = values.get(name, "")
        if name == "error" and len(value) <= limit and not _is_printable_ascii(value):
            values[name] = UNREADABLE
        elif len(value) > limit or not _is_printable_ascii(value):
            return Malformed(f"{name} is too long, or contains characters other than printable ASCII")
    return _response(values)


def check_issuer(metadata: ProviderMetadata, iss: str | None) -> str | None:
    """Why the response is not from this provider, or None if it is (RFC 9207 section 2.4). Prevents mix-up attacks."""
    if iss is None:
        return "iss is missing" if metadata.authorization_response_iss_parameter_supported else None
    return None if iss == metadata.issuer else "iss names another provider"


def _response(values: dict[str, str]) -> AuthorizationResponse:
    # "Parameters sent without a value MUST be treated as if they were omitted" (RFC 6749 section 3.1).
    code, error = values.get("code") or None, values.get("error") or None
    state, iss = values.get("state") or None, values.get("iss") or None
    if code and error:
        return Malformed("code and error appear together")
    if error:
        return AuthorizationError(error, _readable(values.get("error_description", "")), state, iss)
    if code:
        return Code(code, state, iss) if state else Malformed("state is missing")
    return Malformed("both code and error are missing") if state else NoParameters(iss)


def _decode(text: str) -> str | None:
    """Form decoding (`+` is a space) that rejects what lenient parsers repair: broken escapes, and invalid UTF-8."""
    if not text.isascii() or not _ESCAPES.fullmatch(text):
        return None
    try:
        return unquote_to_bytes(text.replace("+", " ")).decode("utf-8")
    except UnicodeDecodeError:
        return None


def _is_printable_ascii(text: str) -> bool:
    return text.isascii() and text.isprintable()


def _readable(text: str) -> str:
    return "".join(character if character.isprintable() else " " for character in text[:MAX_DESCRIPTION_LENGTH])
