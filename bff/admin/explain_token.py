"""Explains which token a request would carry to its upstream, and where it comes from."""

from typing import Final, assert_never

from bff.config.api_tokens import ClientCredentialsToken, ExchangeToken, RequestedToken, ResourceToken
from bff.config.identity_assertion import IdentityToken
from bff.config.routes import Route
from bff.config.settings import Settings

_WORDS: Final = {
    "user": "user: requires a session; forwards its access token",
    "user_or_none": "user_or_none: forwards the access token if there is a session",
    "none": "none: ignores the session; forwards no token",
}


def explain_token(settings: Settings, route: Route) -> str:
    """One line, without any secret."""
    match route.token:
        case "user" | "user_or_none" | "none":
            return _WORDS[route.token]
        case IdentityToken() as identity:
            return f"identity: requires a session; forwards an identity assertion {about_identity(identity)}"
        case ExchangeToken() as exchange:
            where = _where(settings, exchange)
            return (
                f"exchange: requires a session; forwards an access token for {exchange.audience}{_scope(exchange)}, "
                f"exchanged for the session's (RFC 8693) {where}"
            )
        case ResourceToken(resource=resource):
            return f"resource: requires a session; forwards an access token for {resource}, from a refresh (RFC 8707)"
        case ClientCredentialsToken() as own:
            audience = "" if own.audience is None else f" for {own.audience}"
            what = f"the BFF's own access token{audience}{_scope(own)}"
            return f"client_credentials: requires a session; forwards {what}, granted {_where(settings, own)}"
        case never:
            assert_never(never)


def about_identity(identity: IdentityToken) -> str:
    return f"for {identity.audience} with {', '.join(identity.claims)}, {identity.lifetime} s"


def token_name(route: Route) -> str:
    """A few words, for lists."""
    match route.token:
        case str(word):
            return word
        case IdentityToken(audience=audience):
            return f"identity for {audience}"
        case ExchangeToken(audience=audience):
            return f"exchange for {audience}"
        case ResourceToken(resource=resource):
            return f"resource {resource}"
        case ClientCredentialsToken(client=client):
            return f"client_credentials of the {_CLIENTS[client]}"
        case never:
            assert_never(never)


_CLIENTS: Final = {"sign_in": "sign-in client", "service": "service client"}


def _scope(token: RequestedToken) -> str:
    return f" with {' '.join(token.scope)}" if token.scope else ""


def _where(settings: Settings, token: RequestedToken) -> str:
    client = settings.provider.client_id if token.client == "sign_in" else settings.service_client.client_id
    return f"by the {_CLIENTS[token.client]} {client} at {token.issuer or settings.provider.issuer}"
