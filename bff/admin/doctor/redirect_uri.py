"""Checks that the provider would redirect to our redirect URI: an authorization request with `prompt=none`, whose
redirect is read and not followed. Without a provider session it ends at our redirect URI with `login_required`; no
session or page is created. An unknown client or redirect URI is shown on the provider's own error page (RFC 6749
section 4.1.2.1). One request does not matter to Okta's limit per client (60 a minute); a running BFF never sends it.
"""

import secrets
from typing import Final
from urllib.parse import urlsplit

from bff.admin.doctor.capabilities import pushed_requests
from bff.admin.doctor.check_result import CheckResult, fail, ok, warn
from bff.admin.doctor.provider_words import fix_at
from bff.config.settings import Settings
from bff.oidc.authorization import (
    AuthorizationError,
    Code,
    SignInOptions,
    authorization_parameters,
    authorization_url,
    read_authorization_response,
)
from bff.oidc.form_fields import FormFields
from bff.oidc.metadata import ProviderMetadata
from bff.oidc.pkce import s256_challenge
from bff.oidc.pushed_authorization import NotPushed, Pushed, pushed_parameters
from bff.oidc.token import NoAnswer
from bff.provider.connections import ProviderClient
from bff.provider.open import open_provider
from bff.provider.response import HttpResponse

MAX_PAGE: Final = 1 << 20  # bytes read of the provider's page
_CONSOLE: Final = "Applications > this app > General > Sign-in redirect URIs"
_REGISTRATION: Final = "the redirect URIs of this client (redirect_uris)"
# Expected without a provider session: the request itself is valid.
_NO_SESSION: Final = frozenset(
    {"login_required", "interaction_required", "consent_required", "account_selection_required", "mfa_required"}
)
_FIXES: Final = {
    "access_denied": (
        "An access policy or a network zone denies the request: check Access Policies of the authorization server and "
        "the app's sign-on policy."
    ),
    "invalid_scope": "BFF_SCOPES contains a scope that this authorization server does not have: Security > API > "
    "Authorization Servers > this server > Scopes.",
    "invalid_target": "The authorization server does not know a resource of BFF_ROUTES: sign-ins fail.",
    "unauthorized_client": "Applications > this app > General > Grant type: tick Authorization Code.",
    "unsupported_response_type": "Applications > this app > General > Grant type: tick Authorization Code.",
}
_FIXES_ELSEWHERE: Final = {
    "access_denied": "A policy of the provider denies the request to this client.",
    "invalid_scope": "BFF_SCOPES contains a scope that the provider does not have or does not allow this client.",
    "invalid_target": "The provider does not know a resource of BFF_ROUTES or does not allow it to this client.",
    "unauthorized_client": "Allow the grant type authorization_code for this client.",
    "unsupported_response_type": "Allow the response type code for this client.",
}


async def check_redirect_uri(
    http: ProviderClient, settings: Settings, metadata: ProviderMetadata, *, accepted: bool | None
) -> list[CheckResult]:
    """Returns the results `par` and `redirect_uri`.

    `accepted`: whether the token endpoint accepts our credentials; None if unknown. Raises ConfigurationError.
    """
    parameters: FormFields = authorization_parameters(
        client_id=settings.provider.client_id,
        redirect_uri=settings.browser.redirect_uri,
        scopes=settings.provider.scopes,
        state=secrets.token_urlsafe(32),
        nonce=secrets.token_urlsafe(32),
        code_challenge=s256_challenge(secrets.token_urlsafe(32)),
        options=SignInOptions(prompt="none"),
        resources=settings.resources,
    )
    par = pushed_requests(settings, metadata)
    offered = metadata.pushed_authorization_request_endpoint is not None
    if par.status == "ok" and offered and settings.sign_in.par != "never" and accepted is not False:
        parameters, refused = await _pushed(settings, metadata, parameters)
        par = refused or par
    url = authorization_url(metadata, parameters)
    answer = await http.send("GET", url, within=settings.provider.transport.timeout, limit=MAX_PAGE)
    return [par, _redirect_result(settings, answer, accepted)]


async def _pushed(
    settings: Settings, metadata: ProviderMetadata, parameters: FormFields
) -> tuple[FormFields, CheckResult | None]:
    """The parameters the browser would carry, and what is wrong with the pushed request."""
    provider = open_provider(settings)
    try:
        answer = await provider.push(parameters)
    finally:
        await provider.close()
    match answer:
        case Pushed(request_uri):
            return pushed_parameters(settings.provider.client_id, request_uri), None
        case NotPushed(why):
            must = settings.sign_in.par == "required" or metadata.require_pushed_authorization_requests
            fix = "Is the client's authentication accepted, and the redirect URI registered? Else set BFF_PAR to never."
            observed = f"The provider rejects the pushed authorization request ({why})."
            return parameters, fail("par", observed, fix) if must else warn("par", observed, fix)


def _redirect_result(settings: Settings, answer: HttpResponse | NoAnswer, accepted: bool | None) -> CheckResult:
    if isinstance(answer, NoAnswer):
        fix = "Browsers must reach the authorization endpoint; this check calls it from the server."
        return warn("redirect_uri", f"The authorization endpoint does not answer ({answer.why}).", fix)
    location = answer.headers.get("location", "")
    if 300 <= answer.status < 400 and location:
        return _redirected(settings, location)
    if 400 <= answer.status < 500 and answer.status != 429:
        return _error_page(settings, answer.status, accepted)
    observed = f"The authorization endpoint answers {answer.status} to a request with prompt=none."
    return warn(
        "redirect_uri",
        observed,
        f"Run this command again, or sign in once; {_where(settings)} must list {settings.browser.redirect_uri}.",
    )


def _redirected(settings: Settings, location: str) -> CheckResult:
    target, _, query = location.partition("?")
    if target != settings.browser.redirect_uri:
        observed = f"The provider sends the browser to {urlsplit(location).netloc or 'a page of its own'} first."
        return warn(
            "redirect_uri",
            observed,
            f"Sign in once to be sure; {_where(settings)} must list {settings.browser.redirect_uri}.",
        )
    match read_authorization_response(query):
        case AuthorizationError(error) if error in _NO_SESSION:
            return ok("redirect_uri", f"{settings.browser.redirect_uri} is accepted")
        case AuthorizationError(error):
            fix = fix_at(
                settings,
                okta=_FIXES.get(
                    error, "`bff okta plan` compares the app with the settings; `bff docs okta` lists the fields."
                ),
                elsewhere=_FIXES_ELSEWHERE.get(error, "The provider's own log says why (`bff docs providers`)."),
            )
            return fail(
                "redirect_uri", (f"The provider accepts the redirect URI and rejects the request ({error})."), fix
            )
        case Code():
            return ok("redirect_uri", f"{settings.browser.redirect_uri} is accepted")
        case _:
            fix = "A proxy between here and the provider may have changed the response."
            return fail("redirect_uri", "The provider's response at the redirect URI cannot be parsed.", fix)


def _error_page(settings: Settings, status: int, accepted: bool | None) -> CheckResult:
    observed = f"The provider shows an error page ({status}) instead of redirecting to {settings.browser.redirect_uri}."
    register = f"{_where(settings)}: add exactly {settings.browser.redirect_uri}"
    register += fix_at(settings, okta=" (`bff okta apply` does it)", elsewhere="")
    if accepted:
        return fail("redirect_uri", observed, f"{register}.")
    return fail("redirect_uri", observed, f"{register}; or the client ID is unknown, or the client is inactive.")


def _where(settings: Settings) -> str:
    return fix_at(settings, okta=_CONSOLE, elsewhere=_REGISTRATION)
