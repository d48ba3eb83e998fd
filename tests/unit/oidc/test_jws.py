"""Compact JWS: what is refused before a key is used, and which key verifies what."""

import json
import random
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from bff.oidc.jwks import KeySet, parse_key_set
from bff.oidc.jws import JwsKeyUnknown, JwsRefused, Verified, sign, validate_form, verify
from tests.harness.minting import (
    EC_KEY,
    EC_KEY_384,
    EC_KEY_521,
    ED25519_KEY,
    OTHER_RSA_KEY,
    RSA_KEY,
    PrivateKey,
    b64,
    good_claims,
    jwk,
    jwks,
    mint,
    other_trailing_bits,
    signature,
)

EC_KEYS = (jwk(EC_KEY, "ec"), jwk(EC_KEY_384, "ec384"), jwk(EC_KEY_521, "ec521"))
KEYS = parse_key_set(jwks(jwk(RSA_KEY), *EC_KEYS, jwk(ED25519_KEY, "ed")))
ALGORITHMS = ("RS256", "PS256", "ES256", "ES384", "EdDSA")
TYPES = (None, "jwt")
SECRET = b"a client secret of 32 characters"
GOOD = mint()
HEADER, PAYLOAD, SIGNATURE = GOOD.split(".")


def verified(compact: str, keys: KeySet = KEYS, algorithms: tuple[str, ...] = ALGORITHMS) -> Verified:
    return verify(compact, keys, algorithms=algorithms, types=TYPES)


def with_header(key: PrivateKey = RSA_KEY, **changes: Any) -> str:
    return mint(header={"alg": "RS256", "kid": "k1", **changes}, key=key)


def unsigned(**header: str) -> str:
    return f"{b64(json.dumps(header).encode())}.{PAYLOAD}"


def nested(depth: int) -> str:
    return mint(f'{{"x":{"[" * depth}{"]" * depth}}}'.encode())


@pytest.mark.parametrize(
    "compact",
    [
        pytest.param(GOOD, id="no typ"),
        pytest.param(with_header(typ="JWT"), id="typ in another case"),
        pytest.param(with_header(x5t="abc"), id="unknown header parameter"),
        pytest.param(mint(header={"alg": "ES256", "kid": "ec"}, key=EC_KEY, alg="ES256"), id="ES256"),
        pytest.param(mint(header={"alg": "ES384", "kid": "ec384"}, key=EC_KEY_384, alg="ES384"), id="ES384"),
        pytest.param(mint(header={"alg": "PS256", "kid": "k1"}, alg="PS256"), id="PS256"),
        pytest.param(mint(header={"alg": "EdDSA", "kid": "ed"}, key=ED25519_KEY, alg="EdDSA"), id="EdDSA"),
        pytest.param(mint(header={"alg": "RS256"}), id="no kid, one key of that algorithm"),
        pytest.param(mint(padding="x" * 11_000), id="long"),
        pytest.param(nested(15), id="nested"),
    ],
)
def test_a_valid_token_is_verified(compact: str) -> None:
    assert verified(compact).alg in ALGORITHMS
    validate_form(compact, algorithms=ALGORITHMS, types=TYPES)


def test_the_result_carries_algorithm_and_claims() -> None:
    assert verified(GOOD) == Verified("RS256", good_claims())
    assert "sub" not in repr(verified(GOOD))


BAD_FORMS = {  # reason: tokens
    "algorithm": [
        unsigned(alg="none", kid="k1") + ".AA",
        *[with_header(alg=alg) for alg in ("None", "NONE", "nOnE", "rs256", "RS256 ", "ES512", ["RS256"], None)],
        mint(header={"alg": "HS256", "kid": "k1"}, key=SECRET, alg="HS256"),
        mint(header={"kid": "k1"}),
    ],
    "extension": [
        *[with_header(crit=["bork"], bork=1), with_header(crit=[])],
        *[with_header(b64=False), with_header(b64=False, crit=["b64"])],
    ],
    "kid": [with_header(kid=kid) for kid in (1, None, "", "k" * 257)],
    "its typ is for another purpose": [
        with_header(typ=typ) for typ in ("at+jwt", "application/at+jwt", "logout+jwt", "")
    ],
    "its typ is not a string": [with_header(typ=None), with_header(typ=["JWT"])],
    "encrypted": ["a.b.c.d.e"],
    "segments": [
        *["", "..", GOOD + ".x", f"{HEADER}.{PAYLOAD}", f"{HEADER}..{SIGNATURE}"],
    ],
    "no signature": [unsigned(alg="none") + ".", f"{HEADER}.{PAYLOAD}."],
    "header is": [
        *[" " + GOOD, "é" + GOOD, "\ud800" + GOOD, f"{HEADER}=.{PAYLOAD}.{SIGNATURE}"],
        mint(header=b'{"alg":"none","alg":"RS256","kid":"k1"}'),
        *[mint(header=b'["alg","RS256"]'), mint(header=b'"RS256"')],
    ],
    "header is nested": [with_header(x=json.loads("[" * 16 + "]" * 16))],
    "cannot be parsed": [
        *[GOOD + "\x00", GOOD + "\n", GOOD[:-1] + "１", other_trailing_bits(GOOD)],
        *[f"{HEADER}.{PAYLOAD}=.{SIGNATURE}", f"{HEADER}.{PAYLOAD}.{SIGNATURE[:-2]}+/"],
    ],
    "payload is": [mint(b"[]"), mint(b"\xff\xfe"), mint(b'{"x":{"y":1,"y":2}}')],
    "payload is nested": [nested(16)],
}


@pytest.mark.case("IT-001", "IT-002", "IT-008", "IT-011", "IT-013", "IT-014", "IT-015", "IT-054", "IT-055", "IT-058")
@pytest.mark.case("IT-059", "IT-061", "IT-062")
@pytest.mark.parametrize("reason", BAD_FORMS)
def test_what_needs_no_key_is_refused_before_and_with_the_keys(reason: str) -> None:
    for compact in BAD_FORMS[reason]:
        with pytest.raises(JwsRefused, match=reason) as caught:
            verified(compact)
        assert not isinstance(caught.value, JwsKeyUnknown)
        with pytest.raises(JwsRefused, match=reason):
            validate_form(compact, algorithms=ALGORITHMS, types=TYPES)


@pytest.mark.case("IT-068")
def test_a_long_token_is_refused_by_its_length_before_anything_is_decoded() -> None:
    for compact in ("é" * 10_000_000, "." * 16_385, f"{'A' * 10_000_000}.{PAYLOAD}.{SIGNATURE}"):
        with pytest.raises(JwsRefused, match="longer than"):
            verified(compact)
    with pytest.raises(JwsRefused, match="segments"):
        verified("." * 16_384)


@pytest.mark.case("IT-009", "IT-010", "IT-063")
@pytest.mark.parametrize(
    ("reason", "compact"),
    [
        *[
            ("wrong", with_header(OTHER_RSA_KEY, **header))
            for header in (
                {"jwk": jwk(OTHER_RSA_KEY)},
                {"jku": "https://evil/jwks"},
                {"x5u": "file:///etc/passwd"},
                {"x5c": "MIIB"},
            )
        ],
        ("wrong", mint(key=OTHER_RSA_KEY)),
        *[("wrong", f"{HEADER}.{PAYLOAD}.{b64(other)}") for other in (b"x" * 256, signature(EC_KEY, b"", "ES256"))],
        ("matches", with_header(kid="ec")),  # a key of another type
    ],
    ids=["jwk", "jku", "x5u", "x5c", "another key", "no signature", "ECDSA", "key of another type"],
)
def test_keys_come_from_the_key_set_alone(compact: str, reason: str) -> None:
    with pytest.raises(JwsRefused, match=reason):
        verified(compact)
    validate_form(compact, algorithms=ALGORITHMS, types=TYPES)


@pytest.mark.case("IT-063")
def test_one_flipped_bit_anywhere_invalidates_the_token() -> None:
    chance = random.Random(63)
    for _ in range(300):
        position = chance.randrange(len(GOOD))
        flipped = chr(ord(GOOD[position]) ^ 1 << chance.randrange(7))
        with pytest.raises(JwsRefused):
            verified(GOOD[:position] + flipped + GOOD[position + 1 :])


@pytest.mark.parametrize(
    ("compact", "reason"),
    [
        (f"{mint().rpartition('.')[0]}.", "no signature (alg none)"),
        (with_header(alg="none"), "algorithm is none, or unknown"),
        (with_header(alg="HS256"), "algorithm HS256 signs with a shared secret"),
        (with_header(alg="RS512"), "algorithm RS512 is not allowed"),
        (with_header(alg="canary"), "algorithm is none, or unknown"),
    ],
)
def test_a_refused_algorithm_is_named_as_what_it_is(compact: str, reason: str) -> None:
    with pytest.raises(JwsRefused) as refused:
        verified(compact, algorithms=("RS256",))
    assert reason in str(refused.value)
    assert "canary" not in str(refused.value)


def test_algorithms_that_are_not_configured_and_shared_secrets_are_refused() -> None:
    with pytest.raises(JwsRefused, match="algorithm"):
        verified(mint(header={"alg": "ES256", "kid": "ec"}, key=EC_KEY, alg="ES256"), algorithms=("RS256",))
    for alg in ("HS256", "none"):  # even if the settings allowed them
        with pytest.raises(JwsRefused, match="algorithm"):
            verified(with_header(alg=alg), algorithms=("HS256", "RS256", "none"))


@pytest.mark.case("IT-049")
def test_an_unknown_kid_has_its_own_error_so_that_the_keys_can_be_fetched_once() -> None:
    for kid in ("zzz", "k" * 256):
        with pytest.raises(JwsKeyUnknown) as caught:
            verified(with_header(kid=kid))
        assert caught.value.kid == kid


def test_without_a_kid_two_possible_keys_are_ambiguous() -> None:
    keys = parse_key_set(jwks(jwk(RSA_KEY), jwk(OTHER_RSA_KEY, "k2")))
    with pytest.raises(JwsRefused, match="more than one"):
        verified(mint(header={"alg": "RS256"}), keys)


@pytest.mark.parametrize(
    ("key", "alg", "kid"),
    [
        *[(RSA_KEY, "RS256", "k1"), (RSA_KEY, "RS384", None), (RSA_KEY, "RS512", "k1")],
        *[(RSA_KEY, "PS256", "k1"), (RSA_KEY, "PS384", None), (RSA_KEY, "PS512", "k1")],
        *[(EC_KEY, "ES256", "ec"), (EC_KEY_384, "ES384", "ec384"), (EC_KEY_521, "ES512", "ec521")],
        *[(ED25519_KEY, "EdDSA", "ed"), (ED25519_KEY, "Ed25519", None)],
    ],
)
def test_what_we_sign_is_verified(key: Any, alg: str, kid: str | None) -> None:
    assert verified(sign({"sub": "s"}, key, alg=alg, kid=kid), algorithms=(alg,)) == Verified(alg, {"sub": "s"})


@pytest.mark.parametrize(
    ("key", "alg"),
    [
        *[(RSA_KEY, "ES256"), (EC_KEY, "ES384"), (EC_KEY, "PS256"), (ED25519_KEY, "RS256"), (RSA_KEY, "EdDSA")],
        *[(RSA_KEY, "HS256"), (SECRET, "RS256"), (SECRET, "PS256"), (SECRET, "none")],
    ],
)
def test_nothing_is_signed_with_a_key_of_another_algorithm(key: Any, alg: str) -> None:
    with pytest.raises(ValueError, match=r"algorithm|shared secret"):
        sign({"sub": "s"}, key, alg=alg)


def test_what_we_sign_says_what_it_is_for() -> None:
    compact = sign({"sub": "s"}, EC_KEY, alg="ES256", kid="ec", typ="dpop+jwt", header={"jwk": {}})
    with pytest.raises(JwsRefused, match="another purpose"):
        verified(compact)
    assert verify(compact, KEYS, algorithms=("ES256",), types=("dpop+jwt",)).claims == {"sub": "s"}


@pytest.mark.parametrize(("alg", "kid"), [("PS256", "k1"), ("PS512", "k1"), ("EdDSA", "ed"), ("Ed25519", "ed")])
def test_a_signature_of_another_scheme_or_key_is_wrong(alg: str, kid: str) -> None:
    """PSS and PKCS #1 v1.5 share their keys, and all schemes share the path around them."""
    signed_by: list[tuple[PrivateKey, str]] = [
        *[(key, other) for key in (RSA_KEY, OTHER_RSA_KEY) for other in ("RS256", "PS256", "PS384", "PS512")],
        *[(EC_KEY, "ES256"), (ED25519_KEY, "EdDSA"), (Ed25519PrivateKey.generate(), "EdDSA")],
    ]
    for key, other in signed_by:
        if (key, other) not in ((RSA_KEY, alg), (ED25519_KEY, "EdDSA")) or (kid == "k1" and key is ED25519_KEY):
            with pytest.raises(JwsRefused, match="wrong"):
                verified(mint(header={"alg": alg, "kid": kid}, key=key, alg=other), algorithms=(alg,))


@pytest.mark.parametrize("salt_length", [0, 20, 31, 33, 64])
def test_a_pss_salt_has_the_length_of_the_hash(salt_length: int) -> None:
    header = b64(b'{"alg":"PS256","kid":"k1"}')
    signed = f"{header}.{PAYLOAD}"
    scheme = padding.PSS(padding.MGF1(hashes.SHA256()), salt_length)
    with pytest.raises(JwsRefused, match="wrong"):
        verified(f"{signed}.{b64(RSA_KEY.sign(signed.encode(), scheme, hashes.SHA256()))}")
