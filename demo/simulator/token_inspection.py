"""Revocation (RFC 7009), introspection (RFC 7662) and userinfo."""

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from demo.simulator import claims
from demo.simulator.client_authentication import authenticate
from demo.simulator.dpop import ProofRefused
from demo.simulator.forms import read_form
from demo.simulator.grants import AccessToken, fingerprint
from demo.simulator.okta_errors import MISSING_PARAMETER, NO_STORE, RequestRefused
from demo.simulator.org import Org


def _access_token(org: Org, token: str) -> AccessToken | None:
    """The live access token that this JWT stands for."""
    verified = org.keys.verified(token) if token.count(".") == 2 else None
    return org.families.access_token(str(verified.get("jti")), org.now()) if verified else None


def _proven(org: Org, request: Request, access: AccessToken, token: str) -> bool:
    """Whether a DPoP-bound token came with a proof by its key. No nonce is required here."""
    sent, url = request.headers.getlist("dpop"), f"{org.base_url}{request.url.path}"
    try:
        proven_by = org.proofs.verify(sent, method=request.method, url=url, now=org.now(), access_token=token)
    except ProofRefused:
        return False
    return request.headers["authorization"].lower().startswith("dpop ") and proven_by == access.sign_in.jkt


async def revoke(org: Org, request: Request) -> Response:
    """200 for unknown tokens too. A refresh token is revoked with its access tokens, an access token alone."""
    org.watch_url(request)
    try:
        form = await read_form(request)
        client = authenticate(org, request.headers.get("authorization"), form, f"{org.base_url}{request.url.path}")
        token = form.get("token")
        if not token:
            raise RequestRefused(MISSING_PARAMETER)
    except RequestRefused as refused:
        return refused.error.response()
    access = _access_token(org, token)
    if access is not None:
        org.families.revoke_access_token(access.id, client.client_id)
        org.record("revoked", f"access token {fingerprint(token)} revoked", family=access.family_id)
    else:
        known = org.families.revoke_refresh_token(token, client.client_id)
        text = f"refresh token {fingerprint(token)} {'revoked' if known else 'is unknown, nothing to revoke'}"
        org.record("revoked" if known else "revoke_unknown", text)
    return Response(status_code=200, headers=NO_STORE)


async def introspect(org: Org, request: Request) -> Response:
    org.watch_url(request)
    try:
        form = await read_form(request)
        authenticate(org, request.headers.get("authorization"), form, f"{org.base_url}{request.url.path}")
        token = form.get("token")
        if not token:
            raise RequestRefused(MISSING_PARAMETER)
    except RequestRefused as refused:
        return refused.error.response()
    access = _access_token(org, token)
    sign_in = access.sign_in if access else org.families.live_sign_in(token, org.now())
    if sign_in is None:
        return JSONResponse({"active": False}, headers=NO_STORE)
    answer = {
        "active": True,
        "sub": sign_in.sub,
        "client_id": sign_in.client_id,
        "scope": " ".join(sorted(sign_in.scope)),
        "username": org.people[sign_in.sub].login,
    }
    if access is not None:
        answer |= {
            "token_type": "DPoP" if sign_in.jkt else "Bearer",
            "exp": int(access.expires_at),
            "iat": int(access.issued_at),
        }
    return JSONResponse(answer, headers=NO_STORE)


async def userinfo(org: Org, request: Request) -> Response:
    org.watch_url(request)
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    access = _access_token(org, token.strip()) if scheme.lower() in ("bearer", "dpop") else None
    if access is not None and access.sign_in.jkt and not _proven(org, request, access, token.strip()):
        access = None
    if access is None:
        challenge = 'Bearer error="invalid_token", error_description="The access token is invalid."'
        return Response(status_code=401, headers={"WWW-Authenticate": challenge, **NO_STORE})
    if "openid" not in access.scope:
        challenge = 'Bearer error="insufficient_scope", error_description="The access token has no openid scope."'
        return Response(status_code=403, headers={"WWW-Authenticate": challenge, **NO_STORE})
    person = org.people[access.sign_in.sub]
    return JSONResponse(claims.userinfo(person, access.sign_in, access.scope), headers=NO_STORE)
