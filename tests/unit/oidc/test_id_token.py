"""ID tokens, good ones and every forgery of the group id-token."""

import hmac
import json
import random
from typing import Any

import pytest

from bff.oidc.id_token import IdTokenClaims, IdTokenRefused, UnknownKey, validate_id_token, validate_refreshed_id_token
from bff.oidc.jwks import KeySet, parse_key_set
from tests.harness.minting import (
    ACCESS_TOKEN,
    CLIENT_ID,
    EC_KEY,
    EC_KEY_384,
    ISSUER,
    NONCE,
    NOW,
    NULL,
    OTHER_RSA_KEY,
    RSA_KEY,
    SUB,
    at_hash,
    b64,
    good_claims,
    jwk,
    jwks,
    mint,
    signature,
)

KEYS = parse_key_set(jwks(jwk(RSA_KEY), jwk(EC_KEY, "ec"), jwk(EC_KEY_384, "ec384")))
SKEW = 60.0
SECRET = b"a client secret of 32 characters"
OTHER_KEY_AS_JWK = jwk(OTHER_RSA_KEY)


def validate(compact: str, keys: KeySet = KEYS, **changes: Any) -> IdTokenClaims:
    arguments: dict[str, Any] = {
        "issuer": ISSUER,
        "client_id": CLIENT_ID,
        "nonce": NONCE,
        "now": NOW,
        "skew": SKEW,
        "algorithms": ("RS256", "ES256", "ES384"),
        "access_token": ACCESS_TOKEN,
    }
    return validate_id_token(compact, keys, **{**arguments, **changes})


def unsigned(header: dict[str, Any]) -> str:
    return f"{b64(json.dumps(header).encode())}.{b64(json.dumps(good_claims()).encode())}"


def with_claim(text: str) -> bytes:
    """The good payload with raw JSON text put in front of it."""
    return b"{" + text.encode() + b"," + json.dumps(good_claims()).encode()[1:]


def with_raw_exp(text: str) -> bytes:
    return json.dumps(good_claims(exp=1234567)).replace("1234567", text).encode()


# --- good ones


def test_a_token_as_okta_issues_it_is_valid() -> None:
    token = validate(mint(at_hash=at_hash(ACCESS_TOKEN), acr="urn:okta:loa:1fa:any", sid="s1", name="Ada"))
    assert (token.iss, token.sub, token.aud) == (ISSUER, SUB, (CLIENT_ID,))
    assert (token.sid, token.acr, token.auth_time) == ("s1", "urn:okta:loa:1fa:any", NOW - 60)
    assert token.claims["name"] == "Ada"
    assert "Ada" not in repr(token)


@pytest.mark.parametrize(
    "compact",
    [
        pytest.param(mint(header={"alg": "RS256", "kid": "k1", "typ": "JWT"}), id="typ JWT"),
        pytest.param(mint(header={"alg": "RS256", "kid": "k1", "x5t": "abc"}), id="an unknown header is ignored"),
        pytest.param(mint(header={"alg": "ES256", "kid": "ec"}, key=EC_KEY, alg="ES256"), id="ES256"),
        pytest.param(mint(header={"alg": "ES384", "kid": "ec384"}, key=EC_KEY_384, alg="ES384"), id="ES384"),
        pytest.param(mint(header={"alg": "RS256"}), id="no kid, one key of that algorithm"),
        pytest.param(mint(aud=[CLIENT_ID]), id="a list of one audience"),
        pytest.param(mint(azp=CLIENT_ID), id="azp is us"),
        pytest.param(mint(exp=NOW + 300.5), id="IT-040 a fraction in exp"),
        pytest.param(mint(exp=NOW - SKEW + 1), id="expired by less than the skew"),
        pytest.param(mint(iat=NOW + SKEW), id="issued ahead by the skew"),
        pytest.param(mint(nbf=NOW), id="nbf has come"),
    ],
)
def test_a_valid_variant_is_accepted(compact: str) -> None:
    assert validate(compact).sub == SUB


def test_a_token_for_another_audience_too_is_refused() -> None:
    compact = mint(aud=[CLIENT_ID, "other"], azp=CLIENT_ID)
    with pytest.raises(IdTokenRefused, match="aud"):
        validate(compact)


# --- the envelope


RS256_TOKEN = mint()
HEADER_PART, PAYLOAD_PART, SIGNATURE_PART = RS256_TOKEN.split(".")


def with_url_safe_signature() -> str:
    """A good token whose signature has both characters in which the two base64 alphabets differ."""
    for jti in range(1000):
        compact = mint(jti=f"ID.{jti}")
        last = compact.rsplit(".", 1)[1]
        if "-" in last and "_" in last:
            return compact
    raise AssertionError("no such signature")


def standard_base64(compact: str) -> str:
    head, _, last = compact.rpartition(".")
    return f"{head}.{last.replace('-', '+').replace('_', '/')}"


def other_trailing_bits(compact: str) -> str:
    """The last character of a 342-character signature carries four unused bits."""
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    return compact[:-1] + alphabet[alphabet.index(compact[-1]) ^ 1]


@pytest.mark.parametrize(
    "compact",
    [
        pytest.param(unsigned({"alg": "none"}) + ".", id="IT-001 none with an empty signature"),
        pytest.param(unsigned({"alg": "none", "kid": "k1"}) + ".AA", id="IT-001 none with a signature"),
        *[
            pytest.param(mint(header={"alg": alg, "kid": "k1"}), id=f"IT-002 {alg}")
            for alg in ("None", "NONE", "nOnE", "rs256", "RS256 ")
        ],
        pytest.param(mint(header={"alg": "HS256", "kid": "k1"}, key=SECRET, alg="HS256"), id="IT-008 client secret"),
        pytest.param(
            mint(header={"alg": "RS256", "kid": "k1", "jwk": OTHER_KEY_AS_JWK}, key=OTHER_RSA_KEY),
            id="IT-009 the forger's key in the header",
        ),
        *[
            pytest.param(
                mint(header={"alg": "RS256", "kid": "k1", name: value}, key=OTHER_RSA_KEY), id=f"IT-010 {name} {value}"
            )
            for name, value in [
                ("jku", "https://evil/jwks"),
                ("x5u", "file:///etc/passwd"),
                ("x5u", "http://169.254.169.254/"),
                ("x5c", "MIIB"),
            ]
        ],
        pytest.param(mint(header={"alg": "RS256", "kid": "k1", "crit": ["bork"], "bork": 1}), id="IT-011 crit"),
        pytest.param(mint(header={"alg": "RS256", "kid": "k1", "crit": []}), id="IT-011 empty crit"),
        pytest.param(mint(header={"alg": "RS256", "kid": "k1", "b64": False, "crit": ["b64"]}), id="IT-013 b64"),
        pytest.param(mint(header={"alg": "RS256", "kid": "k1", "b64": False}), id="IT-013 b64 without crit"),
        pytest.param(mint(header=b'{"alg":"none","alg":"RS256","kid":"k1"}'), id="IT-014 alg twice"),
        pytest.param(mint(header=b'["alg","RS256"]'), id="the header is a list"),
        pytest.param(mint(header=b'"RS256"'), id="the header is a string"),
        pytest.param(mint(header={"kid": "k1"}), id="no alg"),
        pytest.param(mint(header={"alg": ["RS256"], "kid": "k1"}), id="alg is a list"),
        pytest.param(mint(header={"alg": "RS256", "kid": 1}), id="kid is a number"),
        pytest.param(mint(header={"alg": "RS256", "kid": ""}), id="kid is empty"),
        pytest.param(mint(header={"alg": "RS256", "kid": "ec"}), id="kid of a key of another type"),
        pytest.param(mint(header={"alg": "RS256", "kid": "k1", "typ": "at+jwt"}), id="IT-054 at+jwt"),
        pytest.param(mint(header={"alg": "RS256", "kid": "k1", "typ": "application/at+jwt"}), id="IT-054 long form"),
        pytest.param(mint(header={"alg": "RS256", "kid": "k1", "typ": "logout+jwt"}), id="IT-055 logout+jwt"),
        pytest.param(mint(header={"alg": "RS256", "kid": "k1", "typ": None}), id="typ is null"),
        pytest.param("a.b.c.d.e", id="IT-058 JWE"),
        *[
            pytest.param(compact, id=f"IT-059 {name}")
            for name, compact in {
                "four segments": RS256_TOKEN + ".x",
                "two segments": f"{HEADER_PART}.{PAYLOAD_PART}",
                "empty": "",
                "dots only": "..",
                "NUL at the end": RS256_TOKEN + "\x00",
                "newline at the end": RS256_TOKEN + "\n",
                "space in front": " " + RS256_TOKEN,
                "non-ASCII in front": "é" + RS256_TOKEN,
                "a digit of another script": RS256_TOKEN[:-1] + "１",
                "half a character": "\ud800" + RS256_TOKEN,
                "padding": f"{HEADER_PART}=.{PAYLOAD_PART}.{SIGNATURE_PART}",
                "no signature": f"{HEADER_PART}.{PAYLOAD_PART}.",
                "no payload": f"{HEADER_PART}..{SIGNATURE_PART}",
            }.items()
        ],
        pytest.param(standard_base64(with_url_safe_signature()), id="IT-061 standard alphabet"),
        pytest.param(other_trailing_bits(RS256_TOKEN), id="IT-062 trailing bits"),
        pytest.param(mint(key=OTHER_RSA_KEY), id="IT-063 signed by another key"),
        pytest.param(f"{HEADER_PART}.{PAYLOAD_PART}.{b64(b'x' * 256)}", id="IT-063 no signature at all"),
        pytest.param(
            f"{HEADER_PART}.{PAYLOAD_PART}.{b64(signature(EC_KEY, b'', 'ES256'))}", id="IT-063 other kind of signature"
        ),
        pytest.param(mint(padding="x" * 10_000_000), id="IT-068 10 MB payload"),
        pytest.param("A" * 10_000_000 + f".{PAYLOAD_PART}.{SIGNATURE_PART}", id="IT-068 10 MB header"),
        pytest.param("." * 10_000_000, id="IT-068 10 MB of dots"),
    ],
)
def test_a_bad_envelope_is_refused(compact: str) -> None:
    with pytest.raises(IdTokenRefused) as caught:
        validate(compact)
    assert not isinstance(caught.value, UnknownKey)


@pytest.mark.parametrize("case", ["IT-068"])
def test_a_long_token_is_refused_by_its_length_before_anything_is_decoded(case: str) -> None:
    assert validate(mint(padding="x" * 11_000)).sub == SUB
    for compact in (mint(padding="x" * 12_000), "é" * 10_000_000, "." * 16_385):
        with pytest.raises(IdTokenRefused, match="longer than"):
            validate(compact)


def test_a_shared_secret_is_refused_even_if_the_settings_allow_it() -> None:
    compact = mint(header={"alg": "HS256", "kid": "k1"}, key=SECRET, alg="HS256")
    with pytest.raises(IdTokenRefused, match="its algorithm is not allowed"):  # before any key is looked for
        validate(compact, algorithms=("HS256", "RS256", "none"))


def test_an_algorithm_that_was_not_configured_is_refused() -> None:
    with pytest.raises(IdTokenRefused, match="algorithm"):
        validate(mint(header={"alg": "ES256", "kid": "ec"}, key=EC_KEY, alg="ES256"), algorithms=("RS256",))


@pytest.mark.parametrize("case", ["IT-063"])
def test_one_bit_anywhere_makes_it_another_token(case: str) -> None:
    chance = random.Random(case)
    for _ in range(1000):
        position = chance.randrange(len(RS256_TOKEN))
        flipped = chr(ord(RS256_TOKEN[position]) ^ 1 << chance.randrange(7))
        with pytest.raises(IdTokenRefused):
            validate(RS256_TOKEN[:position] + flipped + RS256_TOKEN[position + 1 :])


@pytest.mark.parametrize("case", ["IT-049"])
def test_an_unknown_kid_has_its_own_error_so_that_the_keys_can_be_fetched_once(case: str) -> None:
    with pytest.raises(UnknownKey) as caught:
        validate(mint(header={"alg": "RS256", "kid": "zzz"}))
    assert caught.value.kid == "zzz"


def test_without_a_kid_two_possible_keys_are_one_too_many() -> None:
    keys = parse_key_set(jwks(jwk(RSA_KEY), jwk(OTHER_RSA_KEY, "k2")))
    with pytest.raises(IdTokenRefused, match="more than one"):
        validate(mint(header={"alg": "RS256"}), keys)


# --- the claims


@pytest.mark.parametrize(
    "compact",
    [
        pytest.param(mint(with_claim('"iss":"https://evil"')), id="IT-015 iss twice"),
        pytest.param(mint(with_claim('"x":{"y":1,"y":2}')), id="IT-015 a nested name twice"),
        pytest.param(mint(iss=None), id="IT-017 no iss"),
        pytest.param(mint(iss=NULL), id="IT-017 iss null"),
        pytest.param(mint(iss="https://evil"), id="IT-018 another iss"),
        pytest.param(mint(iss=ISSUER + "/"), id="IT-018 a slash more"),
        pytest.param(mint(iss=[ISSUER]), id="IT-018 a list"),
        pytest.param(mint(iss=ISSUER[1:-1]), id="IT-022 part of ours"),
        pytest.param(mint(iss=f"x{ISSUER}x"), id="IT-022 ours is part of it"),
        pytest.param(mint(aud=None), id="IT-024 no aud"),
        pytest.param(mint(aud=[]), id="IT-024 no aud in the list"),
        pytest.param(mint(aud="other"), id="IT-024 another aud"),
        pytest.param(mint(aud={CLIENT_ID: 1}), id="IT-024 an object"),
        pytest.param(mint(aud=[CLIENT_ID, 1]), id="IT-024 a number in the list"),
        pytest.param(mint(aud=[[CLIENT_ID]]), id="IT-024 a list in the list"),
        pytest.param(mint(aud=[CLIENT_ID, "other"]), id="IT-026 two audiences, no azp"),
        pytest.param(mint(aud=[CLIENT_ID, "other"], azp="other"), id="IT-027 azp of the other"),
        pytest.param(mint(azp="other"), id="IT-028 azp of another"),
        pytest.param(mint(azp=NULL), id="IT-028 azp null"),
        pytest.param(mint(sub=None), id="IT-031 no sub"),
        pytest.param(mint(sub=""), id="IT-031 empty"),
        pytest.param(mint(sub=7), id="IT-031 a number"),
        pytest.param(mint(sub="s" * 10_000), id="IT-031 10 KB"),
        pytest.param(mint(sub="s" * 256), id="IT-031 256 characters"),
        pytest.param(mint(sub="00u\n1"), id="IT-031 a control"),
        pytest.param(mint(sub="00ü"), id="IT-031 not ASCII"),
        pytest.param(mint(exp=NOW - SKEW - 1), id="IT-033 expired"),
        pytest.param(mint(exp=NOW - SKEW), id="IT-034 on the very second"),
        pytest.param(mint(exp="1790009999"), id="IT-035 digits in a string"),
        pytest.param(mint(exp=None), id="IT-036 no exp"),
        pytest.param(mint(exp=NULL), id="IT-036 null"),
        pytest.param(mint(exp=[1]), id="IT-036 a list"),
        pytest.param(mint(exp={}), id="IT-036 an object"),
        *[
            pytest.param(mint(with_raw_exp(text)), id=f"IT-037 {text[:20]}")
            for text in ("1e400", "Infinity", "-Infinity", "NaN", "1" + "0" * 400, "1" + "0" * 5000, "-1", "1e15")
        ],
        pytest.param(mint(exp=True), id="IT-039 true"),
        pytest.param(mint(iat=NOW + 365 * 86400), id="IT-043 a year ahead"),
        pytest.param(mint(iat=NOW + SKEW + 1), id="IT-043 more ahead than the skew"),
        pytest.param(mint(iat=None), id="no iat"),
        pytest.param(mint(iat=True), id="iat true"),
        pytest.param(mint(nbf=NOW + SKEW + 1), id="nbf has not come"),
        pytest.param(mint(nbf="soon"), id="nbf is a string"),
        pytest.param(mint(auth_time="then"), id="auth_time is a string"),
        pytest.param(mint(auth_time=NOW + SKEW + 1), id="auth_time ahead"),
        pytest.param(mint(nonce=None), id="no nonce though one was sent"),
        pytest.param(mint(nonce="of-another-sign-in"), id="another nonce"),
        pytest.param(mint(nonce=[NONCE]), id="nonce is a list"),
        pytest.param(mint(at_hash=at_hash("another.access.token")), id="at_hash of another access token"),
        pytest.param(mint(at_hash=NULL), id="at_hash null"),
        pytest.param(
            mint(
                {
                    "ver": 1,
                    "jti": "AT.1",
                    "iss": ISSUER,
                    "aud": "api://default",
                    "sub": "ada@example.com",
                    "iat": NOW,
                    "exp": NOW + 3600,
                    "cid": CLIENT_ID,
                    "uid": SUB,
                    "scp": ["openid"],
                }
            ),
            id="IT-057 an access token of the same issuer",
        ),
        pytest.param(mint(b"[]"), id="the payload is a list"),
        pytest.param(mint(b""), id="no payload"),
        pytest.param(mint(b"\xff\xfe"), id="the payload is not UTF-8"),
        pytest.param(mint(with_claim('"x":' + "[" * 5000 + "]" * 5000)), id="nested 5,000 deep"),
        pytest.param(mint(with_claim('"x":' + "[" * 40 + "]" * 40)), id="nested 40 deep"),
        pytest.param(mint(with_claim('"x":"\\ud800"')), id="half a character"),
    ],
)
def test_bad_claims_are_refused(compact: str) -> None:
    with pytest.raises(IdTokenRefused) as caught:
        validate(compact)
    assert not isinstance(caught.value, UnknownKey)


@pytest.mark.parametrize("case", ["IT-034"])
def test_without_skew_a_token_ends_at_exp_and_not_after_it(case: str) -> None:
    assert validate(mint(exp=NOW + 1), skew=0).sub == SUB
    with pytest.raises(IdTokenRefused, match="expired"):
        validate(mint(exp=NOW), skew=0)


def test_an_empty_issuer_never_matches_a_missing_one() -> None:
    with pytest.raises(IdTokenRefused, match="iss"):
        validate(mint(iss=""), issuer="")


def test_at_hash_binds_the_access_token_with_the_hash_of_the_algorithm() -> None:
    header = {"alg": "ES384", "kid": "ec384"}
    good = mint(header=header, key=EC_KEY_384, alg="ES384", at_hash=at_hash(ACCESS_TOKEN, "ES384"))
    assert validate(good).sub == SUB
    with pytest.raises(IdTokenRefused, match="at_hash"):
        validate(mint(header=header, key=EC_KEY_384, alg="ES384", at_hash=at_hash(ACCESS_TOKEN, "RS256")))


def test_max_age_needs_an_authentication_that_is_young_enough() -> None:
    assert validate(mint(auth_time=NOW - 300), max_age=300).sub == SUB
    assert validate(mint(auth_time=NOW), max_age=0).sub == SUB
    with pytest.raises(IdTokenRefused, match="older than max_age"):  # AZ-068
        validate(mint(auth_time=NOW - SKEW - 1), max_age=0)
    with pytest.raises(IdTokenRefused, match="missing"):
        validate(mint(auth_time=None), max_age=300)


def test_acr_must_be_one_of_those_asked_for() -> None:
    two = ("urn:okta:loa:2fa:any", "phr")
    assert validate(mint(acr="phr"), acr_values=two).acr == "phr"
    for acr in ("urn:okta:loa:1fa:any", None, ["phr"]):
        with pytest.raises(IdTokenRefused, match="acr"):
            validate(mint(acr=acr), acr_values=two)


@pytest.mark.parametrize("case", ["IT-071"])
def test_nonce_and_at_hash_are_compared_in_constant_time(case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    compared = []
    real = hmac.compare_digest

    def seen(one: bytes, other: bytes) -> bool:
        compared.append({one, other})
        return real(one, other)

    monkeypatch.setattr(hmac, "compare_digest", seen)
    validate(mint(at_hash=at_hash(ACCESS_TOKEN)))
    assert compared == [{NONCE.encode()}, {at_hash(ACCESS_TOKEN).encode()}]


def test_a_refusal_says_why_and_repeats_nothing_of_the_token() -> None:
    for compact in (mint(sub="evil\nsub"), mint(nonce="evil"), "evil", mint(header={"alg": "evil", "kid": "evil"})):
        with pytest.raises(IdTokenRefused) as caught:
            validate(compact)
        assert caught.value.code == "sign_in_failed"
        assert caught.value.detail
        assert "evil" not in str(caught.value)


# --- after a refresh


def validate_refreshed(compact: str, **changes: Any) -> IdTokenClaims:
    arguments: dict[str, Any] = {"issuer": ISSUER, "client_id": CLIENT_ID, "now": NOW, "skew": SKEW}
    return validate_refreshed_id_token(compact, KEYS, **{**arguments, "algorithms": ("RS256",), **changes})


def test_a_refreshed_token_needs_no_nonce_but_may_not_carry_another() -> None:
    assert validate_refreshed(mint(nonce=None)).nonce is None
    assert validate_refreshed(mint()).nonce == NONCE
    assert validate_refreshed(mint(), nonce=NONCE).sub == SUB
    assert validate_refreshed(mint(nonce=None), nonce=NONCE).sub == SUB
    with pytest.raises(IdTokenRefused, match="nonce"):
        validate_refreshed(mint(nonce="other"), nonce=NONCE)


@pytest.mark.parametrize(
    "changes", [{"iss": "https://evil"}, {"aud": "other"}, {"sub": None}, {"exp": NOW - SKEW}, {"iat": True}]
)
def test_a_refreshed_token_is_validated_like_any_other(changes: dict[str, Any]) -> None:
    with pytest.raises(IdTokenRefused):
        validate_refreshed(mint(**changes))


def test_a_refreshed_token_of_another_subject_is_handed_over_for_comparison_not_set_aside() -> None:
    # A refusal would only leave the old ID token in place; an account swap has to reach the flow that ends the session.
    assert validate_refreshed(mint(sub="00u2another")).sub == "00u2another"


def test_a_refreshed_token_of_an_unknown_key_asks_for_the_keys() -> None:
    with pytest.raises(UnknownKey):
        validate_refreshed(mint(header={"alg": "RS256", "kid": "zzz"}))


def test_a_refreshed_token_with_another_access_tokens_hash_is_refused() -> None:
    with pytest.raises(IdTokenRefused, match="at_hash"):
        validate_refreshed(mint(at_hash=at_hash("other")), access_token=ACCESS_TOKEN)
