"""Token and revocation requests, and the parsing of token responses (RFC 6749 section 5, RFC 7009)."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal, TypeAlias

from bff.oidc.challenge import USE_NONCE
from bff.oidc.error_codes import UNREADABLE, UNSPECIFIED
from bff.oidc.retry_after import retry_after
from bff.oidc.strict_json import JsonRefused, read_object
from bff.oidc.token_exchange import ACCESS_TOKEN, JWT

MAX_RESPONSE_BYTES: Final = 256 * 1024
MAX_ACCESS_TOKEN_LENGTH: Final = 16 * 1024
MAX_EXPIRES_IN: Final = 10 * 365 * 86400  # seconds; longer lifetimes are reduced to this
MAX_ERROR_LENGTH: Final = 64
MAX_DESCRIPTION_LENGTH: Final = 500


@dataclass(frozen=True, slots=True)
class TokenResponse:
    """A successful response (RFC 6749 section 5.1), as received.

    `expires_in` is in seconds; None where absent. `problem` says, safe to log, why there is no usable access token.
    """

    access_token: str | None = field(repr=False)
    expires_in: int | None
    refresh_token: str | None = field(default=None, repr=False)
    id_token: str | None = field(default=None, repr=False)
    scope: str | None = None
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Granted:
    tokens: TokenResponse


@dataclass(frozen=True, slots=True)
class ClientProof:
    """What else is known of the client credentials that a request was sent with.

    `credentials` identifies them without containing them. `granted_ago`: seconds from the last token of a user that
    this process was granted with them until the request began; None if there was none.
    """

    credentials: str
    granted_ago: float | None = None


@dataclass(frozen=True, slots=True)
class Denied:
    """An error response. `description` is the provider's text: logged shortened and escaped, never shown."""

    status: int
    error: str
    description: str = ""
    proof: ClientProof | None = field(default=None, compare=False)

    @property
    def has_code(self) -> bool:
        """Whether the response names an error."""
        return self.error not in (UNREADABLE, UNSPECIFIED)

    @property
    def refuses_client(self) -> bool:
        """Whether client authentication failed (RFC 6749 section 5.2), so that no token was looked at.

        A 401 says so whatever its code: Keycloak sends `unauthorized_client` for a wrong secret, Auth0 `access_denied`.
        """
        return self.error == "invalid_client" or (self.status == 401 and self.error != USE_NONCE)

    @property
    def proves_client(self) -> bool:
        """Whether the client was authenticated: only the grant was refused. Any other code may come before that."""
        return self.error == "invalid_grant" and not self.refuses_client


@dataclass(frozen=True, slots=True)
class Postponed:
    """The provider asks to retry later: no token was consumed.

    `retry_after` is in seconds, None if absent. `client_wide`: the limit is the client's, not one user's.
    """

    retry_after: float | None = None
    client_wide: bool = False


@dataclass(frozen=True, slots=True)
class NoAnswer:
    """No valid response. Only `may_have_been_sent=False` guarantees that no token was consumed."""

    may_have_been_sent: bool
    why: str = ""
    retry_after: float | None = None


@dataclass(frozen=True, slots=True)
class Revoked:
    """The provider confirms that the token is no longer valid, or never was (RFC 7009 section 2.2)."""


@dataclass(frozen=True, slots=True)
class NotRevoked:
    """The token may still be valid. `final`: a retry would not change that. `retry_after` is in seconds.

    `client_refused`: client authentication failed.
    """

    why: str
    final: bool = False
    retry_after: float | None = None
    client_refused: bool = False


RevocationResult: TypeAlias = Revoked | NotRevoked
TokenTypeHint: TypeAlias = Literal["refresh_token", "access_token"]
TokenType: TypeAlias = Literal["Bearer", "DPoP"]
BEARER: Final = "Bearer"
TokenResult: TypeAlias = Granted | Denied | Postponed | NoAnswer


def code_exchange_form(code: str, *, redirect_uri: str, code_verifier: str) -> dict[str, str]:
    """RFC 6749 section 4.1.3, RFC 7636 section 4.5. Client authentication is added by `bff.oidc.client_auth`."""
    return {
        "grant_type": "authorization_code",
        "code": code,
        "redirect_uri": redirect_uri,
        "code_verifier": code_verifier,
    }


def refresh_form(refresh_token: str, resource: str | None = None) -> dict[str, str]:
    """RFC 6749 section 6, with the protected resource that the access token is for (RFC 8707 section 2.2).

    No `scope`: a narrower one without offline_access could end the chain of refresh tokens.
    """
    form = {"grant_type": "refresh_token", "refresh_token": refresh_token}
    return form if resource is None else {**form, "resource": resource}


def parse_revocation_response(status: int, headers: Mapping[str, str], body: bytes, now: float) -> RevocationResult:
    """Parses a response of the revocation endpoint (RFC 7009 section 2.2).

    Never raises. Only a refusal of this request is final. A refusal of the client (its secret is being replaced), a
    rate limit, and errors of intermediaries are not. `now` is in seconds since the epoch.
    """
    if status == 200:
        return Revoked()
    wait = retry_after(headers, now, rate_limited=status == 429)
    if status != 400:
        return NotRevoked(f"status {status}", retry_after=wait, client_refused=status == 401)
    try:
        error = error_code(read_object(body, max_bytes=MAX_RESPONSE_BYTES))
    except JsonRefused:
        return NotRevoked("status 400")
    if error in ("unsupported_token_type", "invalid_request"):
        return NotRevoked(error, final=True, retry_after=wait)
    return NotRevoked("status 400", retry_after=wait, client_refused=error == "invalid_client")


def revocation_form(token: str, token_type_hint: TokenTypeHint) -> dict[str, str]:
    """RFC 7009 section 2.1."""
    return {"token": token, "token_type_hint": token_type_hint}


def parse_token_response(
    status: int, headers: Mapping[str, str], body: bytes | None, now: float, *, token_type: TokenType = BEARER
) -> TokenResult:
    """Parses a response of the token endpoint. `body` is None if it did not arrive whole.

    The status is evaluated before the `error` code: Okta throttles a single user with 429 `invalid_grant`, which must
    not end a session. `headers` has lower-case names (or ignores case), `now` is in seconds since the epoch. A token of
    another type than `token_type` is unusable: `DPoP` if the request carried a proof. Never raises.
    """
    if status == 429:
        return Postponed(retry_after(headers, now, rate_limited=True), client_wide=not _is_user_limit(body or b""))
    if status >= 500 or status == 408:
        return NoAnswer(True, f"status {status}", retry_after(headers, now))
    if status >= 400:
        return _refusal(status, headers, body, now)
    if status != 200:  # redirects are not followed, because they would carry the credentials elsewhere
        return NoAnswer(True, f"status {status}")
    try:
        fields = read_object(body or b"", max_bytes=MAX_RESPONSE_BYTES)
    except JsonRefused as refused:
        return NoAnswer(True, f"the body is {refused}")
    if fields.get("error") is not None:
        return Denied(status, error_code(fields), _description(fields))
    return _granted(fields, token_type)


def _is_user_limit(body: bytes) -> bool:
    """Okta reports a user's own limit with `invalid_grant`; any other 429 is the client's or the org's."""
    try:
        return error_code(read_object(body, max_bytes=MAX_RESPONSE_BYTES)) == "invalid_grant"
    except JsonRefused:
        return False


def _refusal(status: int, headers: Mapping[str, str], body: bytes | None, now: float) -> TokenResult:
    if body is not None and not body.strip():
        return Denied(status, UNSPECIFIED)
    try:
        fields = read_object(body or b"", max_bytes=MAX_RESPONSE_BYTES)
    except JsonRefused:
        return Denied(status, UNREADABLE)  # an error response all the same: from a firewall, a proxy, a wrong path
    error = error_code(fields)
    if error == UNREADABLE:
        error = UNSPECIFIED
    if status == 400 and error == "temporarily_unavailable":
        return Postponed(retry_after(headers, now))
    return Denied(status, error, _description(fields))


def _granted(fields: Mapping[str, Any], token_type: TokenType) -> TokenResult:
    """A new refresh token is kept even if the access token is unusable: the old one may no longer be valid."""
    access_token, why = _access_token(fields, token_type)
    refresh_token = fields.get("refresh_token")
    if not isinstance(refresh_token, str) or not refresh_token.isprintable():
        refresh_token = None
    if access_token is None and not refresh_token:
        return NoAnswer(True, why)
    id_token, scope = fields.get("id_token"), fields.get("scope")
    return Granted(
        TokenResponse(
            access_token=access_token,
            expires_in=_expires_in(fields.get("expires_in")),
            refresh_token=refresh_token or None,
            id_token=id_token if isinstance(id_token, str) and id_token else None,
            scope=scope if isinstance(scope, str) else None,
            problem=why,
        )
    )


def _access_token(fields: Mapping[str, Any], expected: TokenType) -> tuple[str | None, str]:
    token_type, token = fields.get("token_type"), fields.get("access_token")
    if not isinstance(token_type, str) or token_type.lower() != expected.lower():
        if expected == "DPoP":  # a Bearer token could be used by anybody: the provider ignored the proof
            return None, "token_type is not DPoP: the provider does not bind tokens to our key (RFC 9449 section 5)"
        return None, "token_type is not Bearer"
    if not isinstance(token, str) or not token:
        return None, "there is no access token"
    if fields.get("issued_token_type", ACCESS_TOKEN) not in (ACCESS_TOKEN, JWT):  # RFC 8693 section 2.2.1
        return None, "issued_token_type is not an access token"
    # It becomes part of a header of every upstream request: a line break would inject a header.
    if len(token) > MAX_ACCESS_TOKEN_LENGTH or not re.fullmatch(r"[\x21-\x7e]+", token):
        return None, "the access token is too long, or holds other than visible ASCII"
    return token, ""


def _expires_in(value: Any) -> int | None:
    """Seconds. Some providers send a string of digits; anything else that is not a duration counts as absent."""
    if isinstance(value, str) and re.fullmatch(r"[0-9]{1,15}", value):
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int | float) or value < 0:
        return None
    return int(min(value, MAX_EXPIRES_IN))


def error_code(fields: Mapping[str, Any]) -> str:
    """The error code; Okta's routing and management errors use `errorCode` instead (E0000007 and others)."""
    error = fields.get("error", fields.get("errorCode"))
    if not isinstance(error, str) or not re.fullmatch(rf"[\x21-\x7e]{{1,{MAX_ERROR_LENGTH}}}", error):
        return UNREADABLE
    return error


def _description(fields: Mapping[str, Any]) -> str:
    description = fields.get("error_description", fields.get("errorSummary"))
    if not isinstance(description, str):
        return ""
    return "".join(character if character.isprintable() else " " for character in description[:MAX_DESCRIPTION_LENGTH])
