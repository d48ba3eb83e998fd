"""The token endpoint: authorization codes and refresh tokens become tokens (RFC 6749 sections 4.1.3 and 6).

Client credentials and token exchange have modules of their own.
"""

import base64
import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, assert_never

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from demo.simulator import access_policies, claims, okta_errors, resource_indicators
from demo.simulator.client_authentication import authenticate
from demo.simulator.client_credentials import service_token
from demo.simulator.config import TOKEN_EXCHANGE, Client
from demo.simulator.dpop import ProofRefused
from demo.simulator.forms import read_form
from demo.simulator.grants import Issued, Refusal, Refused, fingerprint
from demo.simulator.okta_errors import OktaError, RequestRefused
from demo.simulator.org import AuthorizationServer, Org
from demo.simulator.token_exchange import exchange


async def token(org: Org, server: AuthorizationServer, request: Request) -> Response:
    try:
        form = await read_form(request)
        _watch(org, request)
        client = authenticate(org, request.headers.get("authorization"), form, f"{org.base_url}{request.url.path}")
        match form.get("grant_type"):
            case "authorization_code":
                answer = _exchange_code(org, server, client, form, _proven_key(org, client, request))
            case "refresh_token":
                answer = _refresh(org, server, client, form, _proven_key(org, client, request))
            case "client_credentials":
                answer = service_token(org, server, client, form, _proven_key(org, client, request))
            case grant if grant == TOKEN_EXCHANGE:
                answer = exchange(org, server, client, form, _proven_key(org, client, request))
            case _:
                raise RequestRefused(okta_errors.UNSUPPORTED_GRANT)
    except RequestRefused as refused:
        error = refused.error
        org.record("refused", f"token request refused: {error.internal}", status=error.status, error=error.error)
        return error.response({"DPoP-Nonce": org.dpop_nonce} if error is okta_errors.USE_DPOP_NONCE else None)
    return JSONResponse(answer, headers=okta_errors.NO_STORE)


def _watch(org: Org, request: Request) -> None:
    """Records what a server-side client must not send. Raises RequestRefused where Okta rejects it too."""
    org.watch_url(request)
    if request.query_params:
        raise RequestRefused(okta_errors.IN_QUERY)
    if "cookie" in request.headers:
        org.violation("cookie_at_token_endpoint", "a token request carried a Cookie header")
    if "origin" in request.headers:
        # Okta treats a token request with Origin as a browser's and applies other rules.
        org.violation("origin_at_token_endpoint", "a token request carried an Origin header")
        raise RequestRefused(okta_errors.BROWSER_REQUEST)


def _proven_key(org: Org, client: Client, request: Request) -> str:
    """The DPoP key's thumbprint (RFC 9449 section 5), empty without a proof; consumes nothing.

    Raises RequestRefused.
    """
    sent = request.headers.getlist("dpop")
    if not sent:
        if client.dpop_bound:
            raise RequestRefused(okta_errors.DPOP_REQUIRED)
        return ""
    url = f"{org.base_url}{request.url.path}"
    try:
        return org.proofs.verify(sent, method=request.method, url=url, now=org.now(), nonce=org.dpop_nonce)
    except ProofRefused as refused:
        error = okta_errors.USE_DPOP_NONCE if refused.wants_nonce else okta_errors.bad_proof(refused.why)
        raise RequestRefused(error) from None


def _exchange_code(
    org: Org, server: AuthorizationServer, client: Client, form: Mapping[str, str], jkt: str
) -> dict[str, Any]:
    code = _required(form, "code")
    if org.codes.was_spent(code):
        org.record("code_reused", f"authorization code {fingerprint(code)} was presented again")
        raise RequestRefused(okta_errors.INVALID_CODE)
    grant = org.codes.peek(code, org.now())
    if grant is None:
        raise RequestRefused(okta_errors.INVALID_CODE)
    if grant.sign_in.client_id != client.client_id:
        raise RequestRefused(okta_errors.MISMATCHED_CLIENT)
    if grant.sign_in.issuer != server.issuer:
        raise RequestRefused(okta_errors.MISMATCHED_SERVER)
    org.codes.spend(code)  # from here on the code is consumed, whatever the result is
    if form.get("redirect_uri") != grant.redirect_uri:
        raise RequestRefused(okta_errors.MISMATCHED_REDIRECT_URI)
    _check_verifier(org, grant.code_challenge, form.get("code_verifier"))
    access_policies.check(server, client, "authorization_code")
    audience = resource_indicators.audience(server, grant.sign_in.resources, form)
    issued = org.families.sign_in(replace(grant.sign_in, jkt=jkt), org.now(), audience)
    org.record(
        "token_issued",
        f"{org.name_of(grant.sign_in.sub)} signed in: tokens for the code {fingerprint(code)}",
        family=issued.family_id,
        sub=grant.sign_in.sub,
        refresh_token=fingerprint(issued.refresh_token) if issued.refresh_token else None,
    )
    return token_answer(org, issued, grant.nonce)


def _check_verifier(org: Org, challenge: str | None, verifier: str | None) -> None:
    """RFC 7636 section 4.6, S256 only. Raises RequestRefused."""
    if challenge is None:
        if verifier is not None:
            raise RequestRefused(okta_errors.PKCE_MISSING_CHALLENGE)
        return
    if verifier is None:
        org.violation("missing_code_verifier", "a code was exchanged without its code_verifier")
        raise RequestRefused(okta_errors.PKCE_MISSING_VERIFIER)
    computed = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=")
    if not 43 <= len(verifier) <= 128 or not hmac.compare_digest(computed, challenge.encode()):
        raise RequestRefused(okta_errors.PKCE_FAILED)


def _refresh(
    org: Org, server: AuthorizationServer, client: Client, form: Mapping[str, str], jkt: str
) -> dict[str, Any]:
    presented, now = _required(form, "refresh_token"), org.now()
    scope = form["scope"].split() if "scope" in form else None
    if "refresh_token" not in client.grant_types:
        raise RequestRefused(okta_errors.UNAUTHORIZED_GRANT)
    access_policies.check(server, client, "authorization_code")
    bound = org.families.sign_in_of(presented)
    if bound is not None and bound.jkt != jkt:
        raise RequestRefused(okta_errors.DPOP_OTHER_KEY)
    org.families.rotation_of[client.client_id] = client.rotation
    resources = bound.resources if bound is not None else frozenset[str]()
    outcome = org.families.refresh(
        presented,
        client_id=client.client_id,
        now=now,
        issuer=server.issuer,
        scope=scope,
        audience=resource_indicators.audience(server, resources, form),
    )
    token_name = fingerprint(presented)
    match outcome:
        case Issued():
            _record_refresh(org, outcome, token_name)
            return token_answer(org, outcome, nonce=None)
        case Refused(reason=Refusal.REUSED, family_id=family):
            text = f"refresh token {token_name} was reused after its grace"
            if org.expect_late:
                text += " (a late send was expected)"
            org.record("reuse_alarm", text, family=family, expected=org.expect_late)
            raise RequestRefused(okta_errors.INVALID_REFRESH_TOKEN)
        case Refused(reason=reason, family_id=family):
            org.record("refresh_refused", f"refresh token {token_name}: {reason.value}", family=family)
            raise RequestRefused(_refresh_error(reason))


def _record_refresh(org: Org, issued: Issued, presented: str) -> None:
    person = org.name_of(issued.sign_in.sub)
    successor = fingerprint(issued.refresh_token) if issued.refresh_token else "none"
    if issued.resend:
        kind, text = "resent", f"{person}: {presented} was sent again inside its grace, answered with {successor}"
    elif issued.rotated:
        kind, text = "refreshed", f"{person}: refresh token rotated from {presented} to {successor}"
    else:
        kind, text = "refreshed", f"{person}: refreshed with the persistent token {presented}"
    org.record(
        kind,
        text,
        family=issued.family_id,
        sub=issued.sign_in.sub,
        refresh_token=successor,
        older_than_previous=issued.older_than_previous,
    )


def _refresh_error(reason: Refusal) -> OktaError:
    match reason:
        case Refusal.UNKNOWN | Refusal.REVOKED | Refusal.EXPIRED | Refusal.REUSED:
            return okta_errors.INVALID_REFRESH_TOKEN
        case Refusal.MISMATCHED_CLIENT:
            return okta_errors.MISMATCHED_CLIENT
        case Refusal.MISMATCHED_AUTHORIZATION_SERVER:
            return okta_errors.MISMATCHED_SERVER
        case Refusal.SCOPES_DENIED:
            return okta_errors.SCOPES_DENIED
        case Refusal.USER_NOT_ASSIGNED:
            return okta_errors.USER_NOT_ASSIGNED
        case _:
            assert_never(reason)


def _required(form: Mapping[str, str], name: str) -> str:
    if not (value := form.get(name)):
        raise RequestRefused(okta_errors.MISSING_PARAMETER)
    return value


def token_answer(org: Org, issued: Issued, nonce: str | None) -> dict[str, Any]:
    """RFC 6749 section 5.1. The order of scopes differs from the request's, as at Okta."""
    access = claims.access_token(org, issued)
    answer: dict[str, Any] = {
        "token_type": "DPoP" if issued.sign_in.jkt else "Bearer",
        "expires_in": int(issued.access_token_expires_at - org.now()),
        "access_token": access,
        "scope": " ".join(sorted(issued.scope)),
    }
    if issued.refresh_token is not None:
        answer["refresh_token"] = issued.refresh_token
    if issued.id_token:
        answer["id_token"] = claims.id_token(org, issued, access, nonce)
    return answer
