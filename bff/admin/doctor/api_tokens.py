"""Tokens of routes, as far as they can be requested without a user.

Client credentials are requested for real. An exchange is requested for an access token that does not exist: whether the
provider refuses that token, or the client, the grant type, the audience or the scope before it, is in the error code.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from bff.admin.doctor.check_result import CheckResult, fail, ok, skipped, warn
from bff.admin.doctor.provider_words import fix_at
from bff.config.api_tokens import ExchangeToken, RequestedToken, ResourceToken
from bff.config.settings import Settings
from bff.oidc.dpop import ES256, new_dpop_key, proof_algorithm
from bff.oidc.token import Denied, Granted, NoAnswer, TokenResult
from bff.provider.client import HttpProvider
from bff.provider.open import open_provider, open_token_issuers

NO_SUBJECT: Final = "no-such-access-token-bff-doctor"
# RFC 8693 section 2.2.2 says invalid_request of a subject token; Okta has invalid_grant for an expired one.
_SUBJECT_REFUSED: Final = frozenset({"invalid_request", "invalid_grant", "invalid_token"})
_SERVICE_APPS_ONLY: Final = (
    "Create an app of the type API Services with the grant type Token Exchange, set BFF_SERVICE_CLIENT_ID and its "
    'credentials, and client = "service" in the token of the route.'
)
_CONSOLE: Final = "Security > API > Authorization Servers > that server"


@dataclass(frozen=True, slots=True)
class _Requested:
    """A token, and the prefixes of the routes that have it."""

    token: RequestedToken
    prefixes: tuple[str, ...]

    @property
    def name(self) -> str:
        return f"api_token {self.prefixes[0]}"


async def check_api_tokens(settings: Settings) -> list[CheckResult]:
    """One result for each different token, named after its first route. Raises ConfigurationError."""
    requested = _requested(settings)
    resources = tuple(route.prefix for route in settings.routes if isinstance(route.api_token, ResourceToken))
    if not requested and not resources:
        return []
    own, others = open_provider(settings), open_token_issuers(settings)
    try:
        results = []
        for entry in requested:
            at = (entry.token.issuer or settings.provider.issuer, entry.token.client)
            results.append(await _check(settings, others.get(at, own), entry))
    finally:
        for provider in (own, *others.values()):
            await provider.close()
    exchanging = [entry for entry in requested if isinstance(entry.token, ExchangeToken)]
    exchanges = tuple(prefix for entry in exchanging for prefix in entry.prefixes)
    return [*results, *_with_a_user(settings, exchanges, resources)]


def _requested(settings: Settings) -> list[_Requested]:
    prefixes: dict[RequestedToken, list[str]] = {}
    for route in settings.routes:
        if isinstance(route.api_token, RequestedToken):
            prefixes.setdefault(route.api_token, []).append(route.prefix)
    return [_Requested(token, tuple(every)) for token, every in prefixes.items()]


def _with_a_user(settings: Settings, exchanges: Sequence[str], resources: Sequence[str]) -> list[CheckResult]:
    if not exchanges and not resources:
        return []
    places = ", ".join([*exchanges, *resources])
    fix = (
        f"Sign in and call {places} once: a refusal is counted by bff_api_tokens_total with the outcome refused, and "
        "the log line `no access token for an API` has the provider's reason."
    )
    okta = " `bff okta plan` compares trusted servers and access policies." if exchanges else ""
    why = "what the provider allows for users shows only with a signed-in user"
    return [skipped("api_tokens", why, fix + fix_at(settings, okta=okta, elsewhere=""))]


async def _check(settings: Settings, provider: HttpProvider, requested: _Requested) -> CheckResult:
    token = requested.token
    if isinstance(token, ExchangeToken):
        if token.client == "sign_in" and settings.provider.at_okta:
            observed = "Okta exchanges access tokens for service apps only, and this is the client of BFF_CLIENT_ID."
            return fail(requested.name, observed, _SERVICE_APPS_ONLY)
        answer = await provider.exchange_token(
            NO_SUBJECT,
            audience=token.audience,
            scope=token.scope,
            timeout=settings.provider.transport.timeout,
            dpop_key=await _dpop_key(settings, provider),
        )
        return _exchange(settings, requested, token, answer)
    key, audience = await _dpop_key(settings, provider), getattr(token, "audience", None)
    answer = await provider.client_token(token.scope, audience=audience, dpop_key=key)
    return _client_credentials(settings, requested, answer)


async def _dpop_key(settings: Settings, provider: HttpProvider) -> str | None:
    if not settings.provider.uses_dpop:
        return None
    return new_dpop_key(proof_algorithm((await provider.metadata()).dpop_signing_alg_values_supported) or ES256)


def _exchange(settings: Settings, requested: _Requested, token: ExchangeToken, answer: TokenResult) -> CheckResult:
    match answer:
        case Granted():
            observed = "The provider issued a token in exchange for an access token that does not exist."
            return fail(requested.name, observed, "Do not use this provider's token exchange: anybody can be anyone.")
        case Denied(error=error) if error in _SUBJECT_REFUSED:
            accepted = f"the provider refuses only the access token of this check, which does not exist ({error})"
            return ok(requested.name, f"{accepted}: it knows the client and the grant type")
        case _:
            return _refused(settings, requested, token, answer)


def _client_credentials(settings: Settings, requested: _Requested, answer: TokenResult) -> CheckResult:
    token = requested.token
    if not isinstance(answer, Granted) or answer.tokens.access_token is None:
        return _refused(settings, requested, token, answer)
    granted = answer.tokens.scope
    if granted is not None and (missing := sorted({*token.scope} - {*granted.split()})):
        observed = f"The provider issues the token without {' '.join(missing)}, which its route requests."
        return warn(requested.name, observed, "Allow the client these scopes, or remove them from the route.")
    return ok(requested.name, f"the provider issues the token to the client ({', '.join(requested.prefixes)})")


def _refused(settings: Settings, requested: _Requested, token: RequestedToken, answer: TokenResult) -> CheckResult:
    match answer:
        case Denied(error=error, status=status):
            observed = f"The provider refuses the token of {', '.join(requested.prefixes)} ({status} {error})."
            return fail(requested.name, observed, _fix(settings, token, error))
        case Granted():
            observed = "The response of the token endpoint has no access token that can be used."
            return fail(requested.name, observed, "Does the provider issue another kind of token, or one without DPoP?")
        case NoAnswer(why=why):
            observed = f"The token endpoint does not answer ({why})."
        case _:
            observed = "The token endpoint answers that there are too many requests."
    return fail(requested.name, observed, "Run this command again; if it persists, check the issuer of the route.")


def _fix(settings: Settings, token: RequestedToken, error: str) -> str:
    client = "BFF_SERVICE_CLIENT_ID" if token.client == "service" else "BFF_CLIENT_ID"
    exchange = isinstance(token, ExchangeToken)
    grant, ticked = ("token exchange", "Token Exchange") if exchange else ("client credentials", "Client Credentials")
    match error:
        case "invalid_client":
            also = " Some providers answer so for an unknown audience." if exchange else ""
            return f"Compare the credentials of {client} with the provider.{also}"
        case "unauthorized_client" | "unsupported_grant_type":
            return fix_at(
                settings,
                okta=f"Applications > the app of {client} > General > Grant type: {ticked} (`bff okta apply` does it); "
                "only custom authorization servers issue such tokens.",
                elsewhere=f"Allow the client of {client} the grant type {grant} "
                "(Keycloak: Standard token exchange, Service account roles).",
            )
        case "invalid_target":
            return fix_at(
                settings,
                okta=f"audience must be that of the server that issues the token: {_CONSOLE} > Settings; set issuer.",
                elsewhere="Set audience to a name that the provider knows, and allow it to this client.",
            )
        case "invalid_scope" | "consent_required":
            return fix_at(
                settings,
                okta=f"Set scope to scopes of that server that need no consent: {_CONSOLE} > Scopes.",
                elsewhere="Set scope to scopes that the provider allows this client.",
            )
        case "access_denied":
            return fix_at(
                settings,
                okta=f"{_CONSOLE} > Access Policies: a policy for this client and a rule with {ticked}; for an "
                "exchange also Trusted servers (`bff okta apply` does both).",
                elsewhere="A policy of the provider denies it to this client.",
            )
        case "use_dpop_nonce" | "invalid_dpop_proof":
            return "The client must send DPoP proofs: set BFF_DPOP to on, or do not require them of this client."
        case _:
            return "The provider's own log says why (`bff docs providers`)."
