"""Client authentication with four methods, checked as Okta does (RFC 6749 section 2.3, RFC 7523)."""

import base64
import binascii
import hmac
import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote_plus

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from demo.simulator import okta_errors
from demo.simulator.config import Client
from demo.simulator.okta_errors import RequestRefused, bad_assertion
from demo.simulator.org import Org
from demo.simulator.signing_keys import b64url_decode

JWT_BEARER = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
MAX_ASSERTION_LIFETIME = 3600  # seconds
CURVES: dict[str, type[ec.EllipticCurve]] = {"P-256": ec.SECP256R1, "P-384": ec.SECP384R1, "P-521": ec.SECP521R1}
HASHES: dict[str, type[hashes.HashAlgorithm]] = {"256": hashes.SHA256, "384": hashes.SHA384, "512": hashes.SHA512}


def authenticate(org: Org, authorization: str | None, form: Mapping[str, str], endpoint_url: str) -> Client:
    """The authenticated client. `endpoint_url` is the audience that an assertion must have. Raises RequestRefused."""
    in_basic = authorization is not None and authorization.lower().startswith("basic ")
    ways = [in_basic, "client_secret" in form, "client_assertion" in form]
    if sum(ways) > 1:
        raise RequestRefused(okta_errors.MULTIPLE_CREDENTIALS)
    if in_basic:
        assert authorization is not None
        client_id, secret = _basic(authorization)
        return _by_secret(org, client_id, secret, "client_secret_basic")
    if "client_secret" in form:
        return _by_secret(org, form.get("client_id", ""), form["client_secret"], "client_secret_post")
    if "client_assertion" in form:
        return _by_assertion(org, form, endpoint_url)
    raise RequestRefused(okta_errors.MISSING_CREDENTIALS)


def _basic(authorization: str) -> tuple[str, str]:
    try:
        text = base64.b64decode(authorization[6:].strip(), validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        raise RequestRefused(okta_errors.MISSING_CREDENTIALS) from None
    client_id, _, secret = text.partition(":")
    return unquote_plus(client_id), unquote_plus(secret)  # both are form-encoded first, RFC 6749 section 2.3.1


def _client(org: Org, client_id: str, method: str) -> Client:
    client = org.clients.get(client_id)
    if client is None:
        raise RequestRefused(okta_errors.UNKNOWN_CLIENT)
    if method not in client.auth_methods:
        raise RequestRefused(okta_errors.WRONG_AUTH_METHOD)
    return client


def _by_secret(org: Org, client_id: str, secret: str, method: str) -> Client:
    client = _client(org, client_id, method)
    if not any(hmac.compare_digest(secret.encode(), live.encode()) for live in client.secrets):
        raise RequestRefused(okta_errors.INVALID_CLIENT_SECRET)
    return client


def _by_assertion(org: Org, form: Mapping[str, str], endpoint_url: str) -> Client:
    if form.get("client_assertion_type") != JWT_BEARER:
        raise RequestRefused(bad_assertion("client_assertion_type is wrong"))
    assertion = form["client_assertion"]
    try:
        head, payload, signature_text = assertion.split(".")
        header, claims = json.loads(b64url_decode(head)), json.loads(b64url_decode(payload))
        signature = b64url_decode(signature_text)
        algorithm, client_id = str(header["alg"]), str(claims["sub"])
    except (ValueError, KeyError, TypeError):
        raise RequestRefused(bad_assertion("it is not a JWT")) from None
    method = "client_secret_jwt" if algorithm.startswith("HS") else "private_key_jwt"
    client = _client(org, client_id, method)
    signed = f"{head}.{payload}".encode()
    if not _signed_by(client, algorithm, header.get("kid"), signed, signature):
        raise RequestRefused(bad_assertion("the signature is wrong"))
    _validate_claims(org, claims, client, endpoint_url)
    return client


def _validate_claims(org: Org, claims: Mapping[str, Any], client: Client, endpoint_url: str) -> None:
    now, expires, audience = org.now(), claims.get("exp"), claims.get("aud")
    if claims.get("iss") != client.client_id:
        raise RequestRefused(bad_assertion("iss is not the client_id"))
    if endpoint_url not in (audience if isinstance(audience, list) else [audience]):
        raise RequestRefused(bad_assertion("aud is not the URL of this endpoint"))
    if not isinstance(expires, int | float) or not now < expires <= now + MAX_ASSERTION_LIFETIME:
        raise RequestRefused(bad_assertion("exp is missing, past, or more than an hour ahead"))
    if isinstance(claims.get("iat"), int | float) and claims["iat"] > now + 5:
        raise RequestRefused(bad_assertion("iat is in the future"))
    if (jti := claims.get("jti")) is not None:
        if jti in org.used_assertions:
            raise RequestRefused(bad_assertion("jti was used before"))
        org.used_assertions.add(jti)


def _signed_by(client: Client, algorithm: str, kid: str | None, signed: bytes, signature: bytes) -> bool:
    family, size = algorithm[:2], algorithm[2:]
    if size not in HASHES:
        return False
    if family == "HS":
        return any(
            hmac.compare_digest(hmac.digest(secret.encode(), signed, f"sha{size}"), signature)
            for secret in client.secrets
        )
    keys = [jwk for jwk in client.jwks if kid is None or jwk.get("kid") == kid]
    return any(_verifies(jwk, family, HASHES[size](), signed, signature) for jwk in keys)


def _verifies(
    jwk: Mapping[str, Any], family: str, digest: hashes.HashAlgorithm, signed: bytes, signature: bytes
) -> bool:
    def number(name: str) -> int:
        return int.from_bytes(b64url_decode(jwk[name]), "big")

    try:
        match jwk["kty"], family:
            case "RSA", "RS":
                rsa_key = rsa.RSAPublicNumbers(number("e"), number("n")).public_key()
                rsa_key.verify(signature, signed, padding.PKCS1v15(), digest)
            case "EC", "ES":
                curve = CURVES[jwk["crv"]]()
                ec_key = ec.EllipticCurvePublicNumbers(number("x"), number("y"), curve).public_key()
                half = len(signature) // 2
                r, s = int.from_bytes(signature[:half], "big"), int.from_bytes(signature[half:], "big")
                ec_key.verify(encode_dss_signature(r, s), signed, ec.ECDSA(digest))
            case _:
                return False
    except (InvalidSignature, KeyError, ValueError):
        return False
    return True
