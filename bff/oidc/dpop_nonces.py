"""The latest DPoP nonce of each origin (RFC 9449 sections 8 and 9)."""

import secrets

from bff.oidc.dpop import dpop_proof, read_nonce


class DpopNonces:
    """Origins come from the settings only, so the table is bounded."""

    def __init__(self) -> None:
        self._by_origin: dict[str, str] = {}

    def of(self, url: str) -> str | None:
        return self._by_origin.get(_origin(url))

    def remember(self, url: str, value: str | None) -> bool:
        """Stores the DPoP-Nonce header of a response from `url`; False if there is no valid one."""
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
