"""The nonces that servers want in DPoP proofs, the latest one of each origin (RFC 9449 sections 8 and 9)."""

import secrets

from bff.oidc.dpop import dpop_proof, read_nonce


class DpopNonces:
    """Only servers that the settings name are asked, so there are no more origins than those."""

    def __init__(self) -> None:
        self._by_origin: dict[str, str] = {}

    def of(self, url: str) -> str | None:
        return self._by_origin.get(_origin(url))

    def remember(self, url: str, value: str | None) -> bool:
        """Takes the DPoP-Nonce header of an answer from `url`; False where there is none that could be used."""
        nonce = read_nonce(value)
        if nonce is None:
            return False
        self._by_origin[_origin(url)] = nonce
        return True

    def proof(self, key: str, method: str, url: str, now: float, access_token: str | None = None) -> str:
        """A proof for one request to `url`, with the latest nonce of its origin."""
        jti = secrets.token_urlsafe(16)
        return dpop_proof(key, method=method, url=url, now=now, jti=jti, access_token=access_token, nonce=self.of(url))


def _origin(url: str) -> str:
    return "/".join(url.split("/", 3)[:3])
