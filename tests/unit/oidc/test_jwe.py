"""Encrypted tokens: what is refused before a key is used, and that a changed ciphertext opens nothing."""

import json
import random
from base64 import urlsafe_b64decode
from typing import Any

import pytest
from jose import jwe as other_implementation

from bff.oidc.decryption_keys import DecryptionKeys, parse_decryption_keys
from bff.oidc.jwe import MAX_JWE_LENGTH, Decryption, decrypt, is_encrypted
from bff.oidc.jws import JwsRefused
from bff.oidc.public_jwk import public_members
from tests.harness.encrypting import ALGORITHMS, ENCRYPTIONS, encrypted
from tests.harness.minting import (
    EC_KEY,
    EC_KEY_384,
    EC_KEY_521,
    ED25519_KEY,
    OTHER_RSA_KEY,
    RSA_KEY,
    b64,
    jwk,
    mint,
    other_trailing_bits,
    private_jwk,
)

TOKEN = mint()
TYPES = (None, "jwt")


def ring(*members: dict[str, Any]) -> DecryptionKeys:
    return parse_decryption_keys(json.dumps({"keys": list(members)}))


KEYS = ring(private_jwk(RSA_KEY, "rsa"), private_jwk(EC_KEY, "ec"), private_jwk(EC_KEY_384, "ec384"))


def key_for(alg: str) -> Any:
    return RSA_KEY if alg.startswith("RSA") else EC_KEY


def opened(compact: str, keys: DecryptionKeys = KEYS) -> str:
    return Decryption(keys).open(compact, types=TYPES)


@pytest.mark.parametrize("enc", ENCRYPTIONS)
@pytest.mark.parametrize("alg", ALGORITHMS)
@pytest.mark.parametrize(
    "header", [{}, {"kid": True}, {"cty": None}, {"cty": "jwt", "typ": "JWT"}, {"x5t": "abc", "jku": "https://evil/"}]
)
def test_what_was_encrypted_for_a_key_of_ours_is_opened(alg: str, enc: str, header: dict[str, Any]) -> None:
    kid = {"kid": "rsa" if alg.startswith("RSA") else "ec"} if "kid" in header else {}
    compact = encrypted(TOKEN, key_for(alg), alg=alg, enc=enc, header={**header, **kid})
    assert is_encrypted(compact)
    assert opened(compact) == TOKEN


@pytest.mark.parametrize("enc", ENCRYPTIONS)
def test_what_another_implementation_encrypts_is_opened(enc: str) -> None:
    public = {**jwk(RSA_KEY, "rsa"), "alg": "RSA-OAEP-256"}
    compact = other_implementation.encrypt(TOKEN, public, encryption=enc, algorithm="RSA-OAEP-256", kid="rsa")
    assert opened(compact.decode()) == TOKEN


def test_key_agreement_on_the_other_curves_and_with_party_information() -> None:
    keys = ring(private_jwk(EC_KEY_384, "a"), private_jwk(EC_KEY_521, "b"))
    for key, kid in ((EC_KEY_384, "a"), (EC_KEY_521, "b")):
        for header in ({"kid": kid}, {}):
            assert opened(encrypted(TOKEN, key, alg="ECDH-ES", header=header), keys) == TOKEN
    for alg in ("ECDH-ES", "ECDH-ES+A256KW"):
        assert opened(encrypted(TOKEN, EC_KEY, alg=alg, header={"apu": b64(b"Alice"), "apv": b64(b"Bob")})) == TOKEN


def rsa(**header: Any) -> str:
    return encrypted(TOKEN, RSA_KEY, header=header)


def ecdh(**header: Any) -> str:
    return encrypted(TOKEN, EC_KEY, alg="ECDH-ES+A256KW", header=header)


def tag_in_the_ciphertext() -> str:
    """The same bytes of ciphertext and tag, split elsewhere: another text must not be the same token."""
    *head, ciphertext, tag = rsa().split(".")
    sealed = b"".join(urlsafe_b64decode(part + "=" * (-len(part) % 4)) for part in (ciphertext, tag))
    return ".".join((*head, b64(sealed[:-8]), b64(sealed[-8:])))


PARTS = rsa().split(".")
EPK = jwk(EC_KEY_384, None)
BAD = {  # reason: tokens
    "algorithm is not allowed": [
        *[rsa(alg=alg) for alg in ("RSA1_5", "RSA-OAEP", "RSA-OAEP-512", "dir", "A256KW", "PBES2-HS256+A128KW")],
        *[rsa(alg=alg) for alg in ("none", "ECDH-ES+A128KW", None, 5, ["RSA-OAEP-256"])],
        *[rsa(enc=enc) for enc in ("A128GCM", "A256CBC-HS512", "none", None, 5, ["A256GCM"])],
    ],
    "compression, a password or an extension": [
        *[rsa(**header) for header in ({"zip": "DEF"}, {"zip": ""}, {"p2c": 1}, {"p2s": "AAAA"})],
        *[rsa(**header) for header in ({"crit": ["x"], "x": 1}, {"crit": []}, {"b64": True})],
    ],
    "typ is for another purpose": [rsa(typ=typ) for typ in ("at+jwt", "logout+jwt", "", 5, ["JWT"])],
    "not a signed token": [
        *[rsa(cty=cty) for cty in ("json", "", "jwe", 5, ["JWT"])],
        *[encrypted(content, RSA_KEY) for content in ("", "{}", "a.b", "é.b.c", b"\xff.b.c", "a.b.c.d", rsa())],
        encrypted("a" * 16_000 + ".b." + "c" * 500, RSA_KEY),
    ],
    "kid": [*[rsa(kid=kid) for kid in ("", 5, "k" * 257, "another")]],
    "longer than": [rsa() + "A" * MAX_JWE_LENGTH, rsa(x="x" * 4096)],
    "header is": [
        *[f"{header}.{'.'.join(PARTS[1:])}" for header in ("", "é", "e30=", b64(b"[]"), b64(b'{"alg":"a","alg":"b"}'))],
        rsa(x=json.loads("[" * 5 + "]" * 5)),
    ],
    "encrypted key does not fit": [
        ".".join((PARTS[0], "", *PARTS[2:])),
        encrypted(TOKEN, EC_KEY, alg="ECDH-ES").replace("..", ".AAAA."),
    ],
    "epk|apu|apv": [
        *[ecdh(epk=epk, kid="ec") for epk in (None, 5, {}, {**jwk(EC_KEY, None), "d": "AA"}, EPK, jwk(RSA_KEY, None))],
        *[ecdh(epk={**jwk(EC_KEY, None), **off}, kid="ec") for off in ({"x": "AA"}, {"y": b64(bytes(32))}, {"x": 5})],
        *[ecdh(kid="ec", **{name: value}) for name in ("apu", "apv") for value in (5, "=", b64(bytes(257)))],
    ],
    "cannot be decrypted": [
        encrypted(TOKEN, OTHER_RSA_KEY),
        *[encrypted(TOKEN, RSA_KEY, cek=cek) for cek in (bytes(16),)],
        rsa(kid="ec"),  # a key of another type
        ".".join((*PARTS[:4], PARTS[4][:8])),
        tag_in_the_ciphertext(),
        ".".join((*PARTS[:4], "")),
        ".".join((*PARTS[:2], "", *PARTS[3:])),
        ".".join((*PARTS[:2], PARTS[2] + "AAAA", *PARTS[3:])),
        ".".join((PARTS[0], b64(bytes(256)), *PARTS[2:])),
        ".".join((PARTS[0], b64(bytes(8)), *PARTS[2:])),
        rsa() + "=",
        other_trailing_bits(rsa()),
    ],
}


@pytest.mark.parametrize("reason", BAD)
def test_what_is_refused(reason: str) -> None:
    for compact in BAD[reason]:
        with pytest.raises(JwsRefused, match=reason):
            opened(compact)


@pytest.mark.parametrize("enc", ENCRYPTIONS)
@pytest.mark.parametrize("alg", ALGORITHMS)
def test_one_flipped_bit_anywhere_opens_nothing_and_says_nothing(alg: str, enc: str) -> None:
    chance = random.Random(63)
    compact = encrypted(TOKEN, key_for(alg), alg=alg, enc=enc)
    first = compact.index(".") + 1  # the header has texts of its own
    for _ in range(60):
        position = chance.randrange(first, len(compact))
        if compact[position] == ".":
            continue
        other = chance.choice("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")
        changed = compact[:position] + other + compact[position + 1 :]
        if other != compact[position]:
            with pytest.raises(JwsRefused) as refused:
                opened(changed)
            assert str(refused.value) == "it is encrypted (JWE), and cannot be decrypted"


def test_only_five_segments_are_an_encrypted_token() -> None:
    for compact in ("a.b.c.d", ".....", TOKEN, ""):
        assert not is_encrypted(compact)
        with pytest.raises(JwsRefused, match="five segments"):
            decrypt(compact, KEYS, types=TYPES)


def test_a_token_that_is_only_signed_is_accepted_where_encryption_is_optional() -> None:
    assert Decryption(KEYS, required=False).open(TOKEN, types=TYPES) == TOKEN
    assert Decryption(KEYS).open(rsa(), types=TYPES) == TOKEN
    assert Decryption(KEYS).open(TOKEN, types=TYPES, required=False) == TOKEN
    for compact in (TOKEN, "", "a.b"):
        with pytest.raises(JwsRefused, match="BFF_ID_TOKEN_ENCRYPTION"):
            Decryption(KEYS).open(compact, types=TYPES)


def test_an_older_key_decrypts_and_the_newest_for_each_algorithm_is_published() -> None:
    keys = ring(
        private_jwk(OTHER_RSA_KEY, "new"), private_jwk(RSA_KEY, "old"), private_jwk(EC_KEY, "ec", alg="ECDH-ES")
    )
    for kid in ("old", None):
        assert opened(encrypted(TOKEN, RSA_KEY, header={"kid": kid}), keys) == TOKEN
    assert [dict(member) for member in keys.published()] == [
        {**jwk(OTHER_RSA_KEY, "new"), "use": "enc"},
        {**jwk(EC_KEY, "ec"), "use": "enc", "alg": "ECDH-ES"},
    ]
    with pytest.raises(JwsRefused, match="cannot be decrypted"):
        opened(encrypted(TOKEN, EC_KEY, alg="ECDH-ES+A256KW", header={"kid": "ec"}), keys)


def test_a_key_without_a_kid_has_its_thumbprint() -> None:
    (member,) = ring(private_jwk(EC_KEY, None)).published()
    assert {name: member[name] for name in ("kty", "crv", "x", "y")} == public_members(EC_KEY)
    assert len(urlsafe_b64decode(member["kid"] + "=")) == 32


@pytest.mark.parametrize(
    ("members", "reason"),
    [
        ([private_jwk(ED25519_KEY)], "neither RSA nor EC"),
        ([private_jwk(RSA_KEY, use="sig")], "for signatures"),
        ([private_jwk(RSA_KEY, alg="RS256")], "another algorithm"),
        ([private_jwk(EC_KEY, alg="RSA-OAEP-256")], "another algorithm"),
        ([private_jwk(RSA_KEY), private_jwk(EC_KEY)], "one kid"),
        ([private_jwk(EC_KEY, f"k{n}") for n in range(9)], "more than 8"),
        ([jwk(RSA_KEY)], "neither a valid PEM"),
    ],
)
def test_unusable_decryption_keys_are_refused(members: list[dict[str, Any]], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        ring(*members)


def test_any_other_text_is_refused_with_the_one_exception() -> None:
    """Segments of every kind in every place, and header members of every type."""
    chance = random.Random(64)
    values: list[Any] = [None, True, 5, 1.5, "", "x", "A128GCM", "JWT", [], ["RSA-OAEP-256"], {}, EPK, "A" * 300]
    names = ("alg", "enc", "kid", "typ", "cty", "epk", "apu", "apv", "zip", "x5c")
    genuine = [encrypted(TOKEN, key_for(alg), alg=alg).split(".") for alg in ALGORITHMS]
    for number in range(400):
        parts = list(genuine[number % 3])
        header = json.loads(urlsafe_b64decode(parts[0] + "=="))
        for name in chance.sample(names, chance.randrange(3)):
            header[name] = chance.choice(values)
        parts[0] = b64(json.dumps(header).encode())
        if chance.random() < 0.5:
            parts[chance.randrange(5)] = chance.choice(["", "A", "AAAA", "=", "é", "\x00", *parts, "A" * 5000])
        if parts not in genuine:
            with pytest.raises(JwsRefused):
                opened(".".join(parts))
