import json

from jose import jws

from bff.oidc.dpop import new_dpop_key
from bff.oidc.dpop_nonces import DpopNonces

URL = "https://api.example/v1/orders"
KEY = new_dpop_key()


def test_the_latest_nonce_of_each_origin_is_remembered() -> None:
    nonces = DpopNonces()
    assert nonces.of(URL) is None
    assert nonces.remember(URL, "one")
    assert not nonces.remember(URL, "bad nonce")
    assert not nonces.remember(URL, None)
    assert nonces.of("https://api.example/another?x#y") == "one"
    for other in ("https://api.example:8443/", "http://api.example/", "https://other.example"):
        assert nonces.of(other) is None
    assert nonces.remember("https://api.example", "two")
    assert nonces.of(URL) == "two"


def test_a_proof_carries_the_nonce_of_its_origin_and_an_id_of_its_own() -> None:
    def claims(url: str, access_token: str | None = None) -> dict[str, object]:
        proof = nonces.proof(KEY, "GET", url, 1_700_000_000, access_token)
        decoded: dict[str, object] = json.loads(jws.verify(proof, jws.get_unverified_header(proof)["jwk"], ["ES256"]))
        return decoded

    nonces = DpopNonces()
    nonces.remember(URL, "one")
    first, second = claims(URL), claims(URL, "at")
    assert (first["htm"], first["htu"], first["iat"], first["nonce"]) == ("GET", URL, 1_700_000_000, "one")
    assert first["jti"] != second["jti"]
    assert ("ath" in first, "ath" in second) == (False, True)
    assert "nonce" not in claims("https://other.example/")
