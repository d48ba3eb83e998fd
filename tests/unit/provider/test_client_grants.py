"""What a refusal carries as proof: when the same client credentials were last granted a token here."""

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from bff.oidc.client_auth import ClientAuthentication, client_authentication
from bff.oidc.token import ClientProof, Denied, Granted, NoAnswer, TokenResponse
from bff.provider.client_grants import ClientGrants, fingerprint
from tests.harness.provider_server import ManualClock

AUTH = client_authentication("client_secret_basic", "0oa1", secrets=["one-canary", "two-canary"])
ONE, TWO = AUTH.candidates
GRANTED = Granted(TokenResponse("at", 3600))
REFUSED = Denied(400, "invalid_request")


def proof_of(grants: ClientGrants, candidate: object, began: float) -> ClientProof:
    answer = grants.noted(REFUSED, AUTH, candidate, began)  # type: ignore[arg-type]
    assert isinstance(answer, Denied)
    assert answer.proof is not None
    return answer.proof


def test_a_refusal_says_how_long_ago_the_same_credentials_were_granted_a_token() -> None:
    clock = ManualClock()
    grants = ClientGrants(clock)
    ours = fingerprint(AUTH, ONE)
    assert proof_of(grants, ONE, clock()) == ClientProof(ours, None)
    assert grants.noted(GRANTED, AUTH, ONE, clock()) is GRANTED
    clock.forward(7)
    assert proof_of(grants, ONE, clock()) == ClientProof(ours, 7.0)
    assert proof_of(grants, ONE, clock() - 60) == ClientProof(ours, 0.0)  # granted while this request was in flight
    assert proof_of(grants, TWO, clock()) == ClientProof(fingerprint(AUTH, TWO), None)


def test_only_a_grant_is_a_proof_and_only_of_its_own_credentials() -> None:
    clock = ManualClock()
    grants = ClientGrants(clock)
    no_answer = NoAnswer(may_have_been_sent=True)
    assert grants.noted(no_answer, AUTH, ONE, clock()) is no_answer
    assert proof_of(grants, ONE, clock()).granted_ago is None
    grants.noted(GRANTED, AUTH, TWO, clock())
    assert proof_of(grants, ONE, clock()).granted_ago is None
    assert proof_of(grants, TWO, clock()).granted_ago == 0.0


def _with_key() -> ClientAuthentication:
    pem = ec.generate_private_key(ec.SECP256R1()).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return client_authentication("private_key_jwt", "0oa1", private_key=pem.decode())


@pytest.mark.parametrize("auth", [AUTH, _with_key()], ids=["secret", "key"])
def test_credentials_are_recognized_in_every_process_and_not_shown(auth: ClientAuthentication) -> None:
    candidate = auth.candidates[0]
    same = ClientAuthentication(auth.method, auth.client_id, auth.candidates)
    assert fingerprint(auth, candidate) == fingerprint(same, candidate)
    assert fingerprint(auth, candidate) != fingerprint(ClientAuthentication(auth.method, "0oa2", ()), candidate)
    assert len(fingerprint(auth, candidate)) == 8
