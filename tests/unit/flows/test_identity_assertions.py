"""Identity assertions are signed once for a while, never for another session, and others can verify them."""

import json
from dataclasses import replace
from typing import Any

import jwt
import pytest
from joserfc import jwt as joserfc_jwt
from joserfc.jwk import KeySet

from bff.config.identity_assertion import IdentityToken
from bff.flows.identity_assertions import IdentityAssertions
from bff.oidc.private_keys import new_private_jwk
from bff.oidc.published_keys import key_set_document
from bff.oidc.signing_keys import SigningKeys, parse_signing_keys
from bff.session.session import Session, SessionKey, User
from tests.harness.minting import NOW, b64
from tests.harness.refresh_records import fresh

ISSUER = "https://app.example.com"
IDENTITY = IdentityToken(audience="orders-api", claims=("sub", "groups"), lifetime=60)
USER = User("00u1", claims={"groups": ["a"]})
SESSION = replace(fresh(), user=USER, ends_at=NOW + 43200, amr=["pwd"])
ES256 = parse_signing_keys(json.dumps(new_private_jwk("ES256")))


class Clock:
    now = NOW

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def assertions(clock: Clock, keys: SigningKeys | None = ES256, **options: int) -> IdentityAssertions:
    return IdentityAssertions(ISSUER, keys, clock=clock, **options)


def claims_of(assertion: str) -> dict[str, Any]:
    return jwt.decode(assertion, options={"verify_signature": False})


@pytest.mark.filterwarnings("ignore:EdDSA is deprecated")  # in favour of Ed25519 (RFC 9864), which few libraries have
@pytest.mark.parametrize("alg", ["ES256", "EdDSA", "RS256"])
def test_other_libraries_verify_it_with_the_published_keys(clock: Clock, alg: str) -> None:
    keys = parse_signing_keys(json.dumps({"keys": [new_private_jwk(alg), new_private_jwk("ES256")]}))
    assertion = assertions(clock, keys).assertion(SESSION, IDENTITY, "/orders")
    document = json.loads(key_set_document(keys.published()))

    header = jwt.get_unverified_header(assertion)
    assert header == {"alg": alg, "kid": keys.signer.kid, "typ": "identity-assertion+jwt"}
    own_times = {"verify_exp": False, "verify_iat": False}  # the tests have a clock of their own
    by_pyjwt = jwt.decode(
        assertion,
        jwt.PyJWKSet.from_dict(document)[header["kid"]],
        algorithms=[alg],
        audience="orders-api",
        issuer=ISSUER,
        options=own_times,
    )
    by_joserfc = joserfc_jwt.decode(assertion, KeySet.import_key_set(document), algorithms=[alg])
    assert by_joserfc.header == header
    assert by_joserfc.claims == by_pyjwt
    assert (by_pyjwt["sub"], by_pyjwt["groups"], by_pyjwt["exp"]) == ("00u1", ["a"], NOW + 60)

    payload = assertion.split(".")[1]
    forged = assertion.replace(payload, b64(json.dumps({**by_pyjwt, "sub": "root"}).encode()))
    with pytest.raises(jwt.InvalidSignatureError):
        jwt.decode(forged, jwt.PyJWKSet.from_dict(document)[header["kid"]], algorithms=[alg], options=own_times)


def test_each_deploy_of_a_rotation_is_verified_with_the_keys_of_the_one_before_and_after(clock: Clock) -> None:
    old, new = new_private_jwk("ES256"), new_private_jwk("EdDSA")
    rings = [parse_signing_keys(json.dumps({"keys": members})) for members in ([old], [old, new], [new, old], [new])]
    documents = [jwt.PyJWKSet.from_dict(json.loads(key_set_document(ring.published()))) for ring in rings]
    signed = [assertions(clock, ring).assertion(SESSION, IDENTITY, "/orders") for ring in rings]
    for number, assertion in enumerate(signed):
        header = jwt.get_unverified_header(assertion)
        for document in documents[max(0, number - 1) : number + 2]:
            jwt.decode(
                assertion,
                document[header["kid"]],
                algorithms=[header["alg"]],
                audience="orders-api",
                options={"verify_exp": False, "verify_iat": False},
            )


def test_it_is_kept_until_half_its_life(clock: Clock) -> None:
    signed = assertions(clock)
    first = signed.assertion(SESSION, IDENTITY, "/orders")
    clock.now = NOW + 29.9
    assert signed.assertion(SESSION, IDENTITY, "/orders") == first
    clock.now = NOW + 30
    second = claims_of(signed.assertion(SESSION, IDENTITY, "/orders"))
    assert second["jti"] != claims_of(first)["jti"]
    assert second["exp"] == NOW + 90


def test_after_the_clock_was_set_back_it_is_not_from_the_future(clock: Clock) -> None:
    signed = assertions(clock)
    signed.assertion(SESSION, IDENTITY, "/orders")
    clock.now = NOW - 100
    assert claims_of(signed.assertion(SESSION, IDENTITY, "/orders"))["iat"] == NOW - 100


def test_each_session_and_route_has_its_own(clock: Clock) -> None:
    signed = assertions(clock)
    other = replace(SESSION, key=SessionKey("o" * 43), user=User("00u2"))
    billing = IDENTITY.model_copy(update={"audience": "billing-api"})
    stated = [
        claims_of(signed.assertion(session, identity, place))
        for session, identity, place in (
            (SESSION, IDENTITY, "/orders"),
            (other, IDENTITY, "/orders"),
            (SESSION, billing, "/billing"),
        )
    ]
    assert [(claims["sub"], claims["aud"]) for claims in stated] == [
        ("00u1", "orders-api"),
        ("00u2", "orders-api"),
        ("00u1", "billing-api"),
    ]


def changed(session: Session) -> Session:
    return replace(session, version=session.version + 1, user=User("00u1", claims={"groups": ["a", "b"]}))


def test_claims_that_changed_are_in_the_next_one(clock: Clock) -> None:
    signed = assertions(clock)
    assert claims_of(signed.assertion(SESSION, IDENTITY, "/orders"))["groups"] == ["a"]
    assert claims_of(signed.assertion(changed(SESSION), IDENTITY, "/orders"))["groups"] == ["a", "b"]


def test_with_little_memory_some_are_signed_again(clock: Clock) -> None:
    signed = assertions(clock, cache=0)
    first, second = (signed.assertion(SESSION, IDENTITY, "/orders") for _ in range(2))
    assert first != second


def test_without_keys_nothing_is_signed(clock: Clock) -> None:
    with pytest.raises(ValueError, match="no keys"):
        assertions(clock, None).assertion(SESSION, IDENTITY, "/orders")
