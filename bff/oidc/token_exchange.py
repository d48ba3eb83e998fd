"""Token requests for APIs: token exchange (RFC 8693) and client credentials (RFC 6749 section 4.4)."""

from collections.abc import Collection
from typing import Final

TOKEN_EXCHANGE: Final = "urn:ietf:params:oauth:grant-type:token-exchange"
ACCESS_TOKEN: Final = "urn:ietf:params:oauth:token-type:access_token"
JWT: Final = "urn:ietf:params:oauth:token-type:jwt"


def exchange_form(subject_token: str, *, audience: str, scope: Collection[str] = ()) -> dict[str, str]:
    """RFC 8693 section 2.1: an access token for another audience. The access token is the default of what is issued."""
    return {
        "grant_type": TOKEN_EXCHANGE,
        "subject_token": subject_token,
        "subject_token_type": ACCESS_TOKEN,
        "audience": audience,
        **_scope(scope),
    }


def client_credentials_form(scope: Collection[str] = (), *, audience: str | None = None) -> dict[str, str]:
    """RFC 6749 section 4.4.2. `audience` is an extension that some providers require."""
    return {
        "grant_type": "client_credentials",
        **_scope(scope),
        **({} if audience is None else {"audience": audience}),
    }


def _scope(names: Collection[str]) -> dict[str, str]:
    return {"scope": " ".join(names)} if names else {}
