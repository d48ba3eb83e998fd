"""Compact JWS: what is refused before a key is used, and which key verifies what."""

import json
import random
from typing import Any

import pytest

from bff.oidc.jwks import KeySet, parse_key_set
from bff.oidc.jws import JwsKeyUnknown, JwsRefused, Verified, sign, validate_form, verify
from tests.harness.minting import (
    EC_KEY,
    EC_KEY_384,
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

KEYS = parse_key_set(jwks(jwk(RSA_KEY), jwk(EC_KEY, "ec"), jwk(EC_KEY_384, "ec384")))
ALGORITHMS = ("RS256", "ES256", "ES384")
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


@pytest.mark.parametrize(
    ("compact", "reason"),
    [
        pytest.param(unsigned(alg="none") + ".", "segments", id="IT-001 none with an empty signature"),
        pytest.param(unsigned(alg="none", kid="k1") + ".AA", "algorithm", id="IT-001 none with a signature"),
        *[
            pytest.param(with_header(alg=alg), "algorithm", id=f"IT-002 {alg}")
            for alg in ("None", "NONE", "nOnE", "rs256", "RS256 ", "ES512", ["RS256"])
        ],
        pytest.param(mint(header={"alg": "HS256", "kid": "k1"}, key=SECRET, alg="HS256"), "algorithm", id="IT-008"),
        pytest.param(mint(header={"kid": "k1"}), "algorithm", id="no alg"),
        pytest.param(with_header(crit=["bork"], bork=1), "extension", id="IT-011 crit"),
        pytest.param(with_header(crit=[]), "extension", id="IT-011 empty crit"),
        pytest.param(with_header(b64=False), "extension", id="IT-013 b64 without crit"),
        pytest.param(with_header(b64=False, crit=["b64"]), "extension", id="IT-013 b64"),
        pytest.param(mint(header=b'{"alg":"none","alg":"RS256","kid":"k1"}'), "header is", id="IT-014 alg twice"),
        pytest.param(mint(header=b'["alg","RS256"]'), "header is", id="header is a list"),
        pytest.param(mint(header=b'"RS256"'), "header is", id="header is a string"),
        pytest.param(with_header(x=json.loads("[" * 16 + "]" * 16)), "header is nested", id="header nested too deeply"),
        pytest.param(with_header(kid=1), "kid", id="kid is a number"),
        pytest.param(with_header(kid=None), "kid", id="kid is null"),
        pytest.param(with_header(kid=""), "kid", id="kid is empty"),
        pytest.param(with_header(kid="k" * 257), "kid", id="kid of 257 characters"),
        pytest.param(with_header(typ="at+jwt"), "purpose", id="IT-054 at+jwt"),
        pytest.param(with_header(typ="application/at+jwt"), "purpose", id="IT-054 long form"),
        pytest.param(with_header(typ="logout+jwt"), "purpose", id="IT-055 logout+jwt"),
        pytest.param(with_header(typ=None), "not a string", id="typ is null"),
        pytest.param("a.b.c.d.e", "encrypted", id="IT-058 JWE"),
        *[
            pytest.param(compact, reason, id=f"IT-059 {name}")
            for name, compact, reason in [
                ("four segments", GOOD + ".x", "segments"),
                ("two segments", f"{HEADER}.{PAYLOAD}", "segments"),
                ("empty", "", "segments"),
                ("dots only", "..", "segments"),
                ("no signature", f"{HEADER}.{PAYLOAD}.", "segments"),
                ("no payload", f"{HEADER}..{SIGNATURE}", "segments"),
                ("NUL at the end", GOOD + "\x00", "cannot be parsed"),
                ("newline at the end", GOOD + "\n", "cannot be parsed"),
                ("a digit of another script", GOOD[:-1] + "１", "cannot be parsed"),
                ("space in front", " " + GOOD, "header is"),
                ("non-ASCII in front", "é" + GOOD, "header is"),
                ("lone surrogate", "\ud800" + GOOD, "header is"),
                ("padding", f"{HEADER}=.{PAYLOAD}.{SIGNATURE}", "header is"),
                ("padded payload", f"{HEADER}.{PAYLOAD}=.{SIGNATURE}", "cannot be parsed"),
            ]
        ],
        pytest.param(f"{HEADER}.{PAYLOAD}.{SIGNATURE[:-2]}+/", "cannot be parsed", id="IT-061 standard alphabet"),
        pytest.param(other_trailing_bits(GOOD), "cannot be parsed", id="IT-062 trailing bits"),
        pytest.param(mint(b"[]"), "payload is", id="payload is a list"),
        pytest.param(mint(b"\xff\xfe"), "payload is", id="payload is not UTF-8"),
        pytest.param(mint(b'{"x":{"y":1,"y":2}}'), "payload is", id="IT-015 a nested name twice"),
        pytest.param(nested(16), "payload is nested", id="payload nested too deeply"),
    ],
)
def test_what_needs_no_key_is_refused_before_and_with_the_keys(compact: str, reason: str) -> None:
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


@pytest.mark.parametrize(
    ("compact", "reason"),
    [
        pytest.param(with_header(OTHER_RSA_KEY, jwk=jwk(OTHER_RSA_KEY)), "wrong", id="IT-009 the forger's key"),
        *[
            pytest.param(with_header(OTHER_RSA_KEY, **{name: value}), "wrong", id=f"IT-010 {name} {value}")
            for name, value in [
                ("jku", "https://evil/jwks"),
                ("x5u", "file:///etc/passwd"),
                ("x5u", "http://169.254.169.254/"),
                ("x5c", "MIIB"),
            ]
        ],
        pytest.param(with_header(kid="ec"), "matches", id="kid of a key of another type"),
        pytest.param(mint(key=OTHER_RSA_KEY), "wrong", id="IT-063 signed by another key"),
        pytest.param(f"{HEADER}.{PAYLOAD}.{b64(b'x' * 256)}", "wrong", id="IT-063 not a signature"),
        pytest.param(
            f"{HEADER}.{PAYLOAD}.{b64(signature(EC_KEY, b'', 'ES256'))}", "wrong", id="IT-063 other kind of signature"
        ),
    ],
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
    [(RSA_KEY, "RS256", "k1"), (RSA_KEY, "RS256", None), (EC_KEY, "ES256", "ec"), (EC_KEY_384, "ES384", "ec384")],
)
def test_what_we_sign_is_verified(key: Any, alg: str, kid: str | None) -> None:
    assert verified(sign({"sub": "s"}, key, alg=alg, kid=kid)) == Verified(alg, {"sub": "s"})
