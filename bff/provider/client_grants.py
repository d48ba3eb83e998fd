"""Which client credentials this process was granted tokens of users with, and when: what proves that a provider accepts
them, and that its token endpoint works.
"""

import hashlib
from collections.abc import Callable
from dataclasses import replace

from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from bff.oidc.client_auth import Candidate, ClientAuthentication
from bff.oidc.token import ClientProof, Denied, Granted, TokenResult


class ClientGrants:
    """Times are monotonic seconds."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._credentials = ""
        self._granted_at: float | None = None

    def noted(
        self, answer: TokenResult, client_auth: ClientAuthentication, candidate: Candidate, began: float
    ) -> TokenResult:
        """The answer to a token request that began at `began`; a refusal with what is known of its credentials.

        Only the credentials of the last grant are remembered.
        """
        match answer:
            case Granted():
                self._credentials, self._granted_at = fingerprint(client_auth, candidate), self._monotonic()
                return answer
            case Denied():
                credentials, ago = fingerprint(client_auth, candidate), None
                if self._granted_at is not None and self._credentials == credentials:
                    ago = max(0.0, began - self._granted_at)
                return replace(answer, proof=ClientProof(credentials, ago))
            case _:
                return answer


def fingerprint(client_auth: ClientAuthentication, candidate: Candidate) -> str:
    """Identifies client credentials, the same in every replica: eight hex digits that contain no part of a secret."""
    if isinstance(candidate.key, str):
        key = candidate.key.encode()
    else:
        key = candidate.key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    digest = hashlib.sha256(f"client-credentials:{client_auth.method}\n{client_auth.client_id}\n".encode() + key)
    return digest.hexdigest()[:8]
