"""DBSC proofs: what Chromium sends is accepted, everything else is refused."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from bff.base64url import require_base64url
from bff.oidc.dbsc_proof import MAX_PROOF_LENGTH, ProofProblem, ProofRefused, read_refresh, read_registration
from tests.harness.minting import EC_KEY, EC_KEY_384, RSA_KEY, jwk, mint, other_trailing_bits, private_jwk

URL = "https://app.example.com/auth/device-binding/refresh"
OTHER_EC = ec.generate_private_key(ec.SECP256R1())
OTHER_RSA = rsa.generate_private_key(65537, 2048)
ED25519_KEY = ed25519.Ed25519PrivateKey.generate()
KEYS: dict[str, Any] = {"ES256": EC_KEY, "RS256": RSA_KEY}
OTHERS: dict[str, Any] = {"ES256": OTHER_EC, "RS256": OTHER_RSA}
CLAIMS = {"jti": "challenge", "authorization": "authorization"}

# What Chromium 150 sent to a server that offered `challenge="chal1";authorization="authz"`, and its next refresh.
CHROMIUM_REGISTRATION = (
    "eyJhbGciOiJFUzI1NiIsImp3ayI6eyJjcnYiOiJQLTI1NiIsImt0eSI6IkVDIiwieCI6IjJDREhDbHlvbzc2MzhndlJsa09HNEwwaVg2S2xKMmc0"
    "WVRURWVrTGJXWFUiLCJ5IjoiVEdyZ2JvTW5haktWaDRNX044RXZMbGV3TWduSlZlV3NEWjRmYjFhTUFPVSJ9LCJ0eXAiOiJkYnNjK2p3dCJ9.eyJhd"
    "XRob3JpemF0aW9uIjoiYXV0aHoiLCJqdGkiOiJjaGFsMSJ9.rEJ8IpLZPBAkceeRoc-dZukp38fL_tUxmec_Eh5gq9xUArNWsgjfjbiyvvaQ8JfC4D"
    "_SROUoE1RyPwkmjDLcYw"
)
CHROMIUM_REFRESH = (
    "eyJhbGciOiJFUzI1NiIsInR5cCI6ImRic2Mrand0In0.eyJqdGkiOiJjaGFsMiJ9.nkWNY4iJWwzKghd3mcQIuVkkjrPN1BdNASyDE8YiSAwinC8mg"
    "1dnYknxNbpbuNhh1RHEGkfDZtr7tnfzm-sHlg"
)


def registration(alg: str = "ES256", *, key: Any = None, claims: Any = None, **header: Any) -> str:
    key = key or KEYS[alg]
    members = {"alg": alg, "typ": "dbsc+jwt", "jwk": jwk(key, kid=None), **header}
    return mint(CLAIMS if claims is None else claims, members, key=key, alg=alg)


def refresh(alg: str = "ES256", *, key: Any = None, claims: Any = None, **header: Any) -> str:
    members = {"alg": alg, "typ": "dbsc+jwt", **header}
    return mint({"jti": "challenge"} if claims is None else claims, members, key=key or KEYS[alg], alg=alg)


def problem_of(read: Callable[[], object]) -> ProofProblem:
    with pytest.raises(ProofRefused) as refused:
        read()
    return refused.value.problem


def test_what_chromium_sends_is_accepted() -> None:
    proof = read_registration(CHROMIUM_REGISTRATION, audience=URL)
    assert (proof.challenge, proof.authorization, proof.key.alg) == ("chal1", "authz", "ES256")
    assert read_refresh(CHROMIUM_REFRESH, proof.key.jwk, "ES256", audience=URL) == "chal2"


@pytest.mark.parametrize("alg", ["ES256", "RS256"])
def test_both_algorithms_register_and_refresh(alg: str) -> None:
    proof = read_registration(registration(alg), audience=URL)
    assert proof.key.jwk == jwk(KEYS[alg], kid=None)
    assert len(require_base64url(proof.key.thumbprint)) == 32
    assert (proof.challenge, proof.authorization) == ("challenge", "authorization")
    assert read_refresh(refresh(alg), proof.key.jwk, alg, audience=URL) == "challenge"
    assert read_refresh(refresh(alg, claims={"jti": "j", "aud": URL}), proof.key.jwk, alg, audience=URL) == "j"


def tampered(compact: str) -> str:
    header, _, signature = compact.split(".")
    _, payload, _ = mint({**CLAIMS, "jti": "other"}, {}).split(".")
    return f"{header}.{payload}.{signature}"


WRONG_REGISTRATIONS: dict[str, str] = {
    "no JWS": "x",
    "two segments": "a.b",
    "empty": "",
    "huge": registration(claims={**CLAIMS, "pad": "p" * MAX_PROOF_LENGTH}),
    "alg none": registration(alg="ES256").rpartition(".")[0] + ".",
    "header says none": registration() and mint(CLAIMS, {"alg": "none", "typ": "dbsc+jwt", "jwk": jwk(EC_KEY)}),
    "HS256": mint(CLAIMS, {"alg": "HS256", "typ": "dbsc+jwt", "jwk": jwk(EC_KEY)}, key=b"k" * 32, alg="HS256"),
    "ES384": mint(CLAIMS, {"alg": "ES384", "typ": "dbsc+jwt", "jwk": jwk(EC_KEY_384)}, key=EC_KEY_384, alg="ES384"),
    "PS256": mint(CLAIMS, {"alg": "PS256", "typ": "dbsc+jwt", "jwk": jwk(RSA_KEY)}, key=RSA_KEY, alg="PS256"),
    "EdDSA": mint(CLAIMS, {"alg": "EdDSA", "typ": "dbsc+jwt", "jwk": jwk(ED25519_KEY)}, key=ED25519_KEY, alg="EdDSA"),
    "alg of another key": registration("ES256", jwk=jwk(RSA_KEY, kid=None)),
    "no typ": mint(CLAIMS, {"alg": "ES256", "jwk": jwk(EC_KEY)}, key=EC_KEY, alg="ES256"),
    "typ of another purpose": registration(typ="dpop+jwt"),
    "no jwk": registration(jwk=None),
    "jwk is a list": registration(jwk=[jwk(EC_KEY)]),
    "jwk of another key": registration(jwk=jwk(OTHER_EC, kid=None)),
    "a private jwk": registration(jwk=private_jwk(EC_KEY, kid=None)),
    "off the curve": registration(jwk={**jwk(EC_KEY, kid=None), "x": jwk(OTHER_EC)["x"]}),
    "a jwk for encryption": registration(jwk=jwk(EC_KEY, kid=None, use="enc")),
    "a short RSA key": registration("RS256", key=rsa.generate_private_key(65537, 1024)),
    "crit": registration(crit=["exp"]),
    "b64": registration(b64=False),
    "tampered": tampered(registration()),
    "another signature": registration().rpartition(".")[0] + "." + registration(key=OTHER_EC).rpartition(".")[2],
    "trailing bits": other_trailing_bits(registration()),
    "no jti": registration(claims={"authorization": "a"}),
    "jti is a number": registration(claims={**CLAIMS, "jti": 1}),
    "jti is long": registration(claims={**CLAIMS, "jti": "j" * 2000}),
    "no authorization": registration(claims={"jti": "j"}),
    "a list as payload": registration(claims=b"[]"),
    "a name twice": registration(claims=b'{"jti":"a","jti":"b","authorization":"c"}'),
    "deep": registration(claims=json.dumps(CLAIMS).encode()[:-1] + b',"a":' + b"[" * 40 + b"]" * 40 + b"}"),
    "another audience": registration(claims={**CLAIMS, "aud": "https://app.example.com/other"}),
    "an audience list": registration(claims={**CLAIMS, "aud": [URL]}),
}


@pytest.mark.parametrize("name", WRONG_REGISTRATIONS)
def test_a_wrong_registration_is_refused(name: str) -> None:
    problem_of(lambda: read_registration(WRONG_REGISTRATIONS[name], audience=URL))


WRONG_REFRESHES: dict[str, Callable[[str], str]] = {
    "another key": lambda alg: refresh(alg, key=OTHERS[alg]),
    "another key with its jwk": lambda alg: refresh(alg, key=OTHERS[alg], jwk=jwk(OTHERS[alg], kid=None)),
    "the other algorithm": lambda alg: refresh("RS256" if alg == "ES256" else "ES256"),
    "typ JWT": lambda alg: refresh(alg, typ="JWT"),
    "a kid": lambda alg: refresh(alg, kid="k1"),
    "no jti": lambda alg: refresh(alg, claims={}),
    "an empty jti": lambda alg: refresh(alg, claims={"jti": ""}),
    "another audience": lambda alg: refresh(alg, claims={"jti": "j", "aud": "https://evil.example"}),
    "huge": lambda alg: refresh(alg, claims={"jti": "j", "pad": "p" * MAX_PROOF_LENGTH}),
    "no signature": lambda alg: refresh(alg).rpartition(".")[0] + ".",
    "four segments": lambda alg: refresh(alg) + ".x",
    "quoted": lambda alg: f'"{refresh(alg)}"',
}


@pytest.mark.parametrize("alg", ["ES256", "RS256"])
@pytest.mark.parametrize("name", WRONG_REFRESHES)
def test_a_wrong_refresh_is_refused(name: str, alg: str) -> None:
    problem_of(lambda: read_refresh(WRONG_REFRESHES[name](alg), jwk(KEYS[alg], kid=None), alg, audience=URL))


def test_problems_say_what_is_wrong() -> None:
    def registered(compact: str) -> ProofProblem:
        return problem_of(lambda: read_registration(compact, audience=URL))

    assert registered("x") is ProofProblem.MALFORMED
    assert registered(WRONG_REGISTRATIONS["a private jwk"]) is ProofProblem.KEY_UNUSABLE
    assert registered(WRONG_REGISTRATIONS["tampered"]) is ProofProblem.SIGNATURE_INVALID
    assert registered(WRONG_REGISTRATIONS["another audience"]) is ProofProblem.WRONG_AUDIENCE
