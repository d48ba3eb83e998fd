"""The claims of ID tokens, access tokens and userinfo, in Okta's format."""

import base64
import hashlib
from typing import Any

from demo.simulator.grants import Issued, SignIn
from demo.simulator.org import Org
from demo.simulator.people import Person

ORG_ID = "00osimulatedorg00001"
ID_TOKEN_LIFETIME = 3600  # seconds
# The org server's ID token is thin in the code flow: it has only these of the scope claims; the rest is at userinfo.
THIN = frozenset({"name", "preferred_username", "email"})


def scope_claims(person: Person, scope: frozenset[str]) -> dict[str, Any]:
    claims: dict[str, Any] = {}
    if "profile" in scope:
        claims |= {
            "name": person.name,
            "given_name": person.given_name,
            "family_name": person.family_name,
            "preferred_username": person.login,
            "locale": person.locale,
            "zoneinfo": person.zoneinfo,
            "updated_at": 1_700_000_000,
        }
    if "email" in scope:
        claims |= {"email": person.login, "email_verified": person.email_verified}
    if "groups" in scope:
        claims["groups"] = list(person.groups)
    return claims


def access_token(org: Org, issued: Issued) -> str:
    """A JWT: a custom server's is signed with a published key, the org server's with an unpublished one."""
    sign_in, server = issued.sign_in, org.server_of(issued.sign_in.issuer)
    person, now = org.people[sign_in.sub], int(org.now())
    claims = {
        "ver": 1,
        "jti": issued.access_token,
        "iss": sign_in.issuer,
        "aud": issued.audience or ("api://default" if server is None else server.audience),
        "iat": now,
        "exp": int(issued.access_token_expires_at),
        "cid": sign_in.client_id,
        "uid": sign_in.sub,
        "scp": sorted(issued.scope),
        "auth_time": sign_in.auth_time,
        "sub": person.login,
    }
    if sign_in.acr:
        claims["acr"] = sign_in.acr
    if sign_in.jkt:
        claims["cnf"] = {"jkt": sign_in.jkt}
    return (org.keys.private if server is not None and server.is_org else org.keys.current).sign(claims)


def id_token(org: Org, issued: Issued, access: str, nonce: str | None) -> str:
    sign_in, now = issued.sign_in, int(org.now())
    person = org.people[sign_in.sub]
    shown = scope_claims(person, issued.scope)
    if sign_in.issuer == org.base_url:
        shown = {name: value for name, value in shown.items() if name in THIN}
    claims: dict[str, Any] = {
        "sub": sign_in.sub,
        **shown,
        "ver": 1,
        "iss": sign_in.issuer,
        "aud": sign_in.client_id,
        "iat": now,
        "exp": now + ID_TOKEN_LIFETIME,
        "jti": f"ID.{issued.access_token.removeprefix('AT.')}",
        "amr": list(sign_in.amr),
        "idp": ORG_ID,
        "sid": sign_in.sid,
        "auth_time": sign_in.auth_time,
        "at_hash": _half_hash(access),
        "acr": sign_in.acr or None,
        "nonce": nonce,
        **org.id_token_claims,
    }
    return org.keys.current.sign({name: value for name, value in claims.items() if value is not None})


def userinfo(person: Person, sign_in: SignIn, scope: frozenset[str]) -> dict[str, Any]:
    return {"sub": sign_in.sub, **scope_claims(person, scope)}


def _half_hash(value: str) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(value.encode()).digest()[:16]).rstrip(b"=").decode()
