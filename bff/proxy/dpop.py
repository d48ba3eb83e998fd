"""DPoP for upstream requests (RFC 9449 section 7): one proof per request, with the upstream's nonce."""

from typing import Final

from bff.config.routes import Route
from bff.http1.response_parser import Header
from bff.oidc.challenge import asks_for_nonce
from bff.oidc.dpop_nonces import DpopNonces
from bff.proxy.credentials import UpstreamCredentials

NONCE: Final = b"dpop-nonce"


class DpopProofs:
    """One per proxy: stores the nonces of upstreams."""

    def __init__(self) -> None:
        self._nonces = DpopNonces()

    def proof(self, credentials: UpstreamCredentials | None, route: Route, method: str, target: bytes) -> bytes | None:
        """For one request, or None without an access token that is DPoP-bound. A retry needs a new one."""
        if credentials is None or not route.sends_access_token or not credentials.dpop_bound:
            return None
        path, origin = target.partition(b"?")[0].decode("ascii"), _origin(route)
        return credentials.dpop_proof(method, origin + path, self._nonces.of(origin)).encode("ascii")

    def requires_nonce(self, route: Route, status: int, headers: list[Header]) -> bool:
        """Stores the nonce of a response; True if the request was rejected for lack of it."""
        nonce = next((value for name, value in headers if name == NONCE), None)
        if nonce is None or not self._nonces.remember(_origin(route), nonce.decode("latin-1")):
            return False
        return status == 401 and asks_for_nonce(value for name, value in headers if name == b"www-authenticate")


def _origin(route: Route) -> str:
    return f"{route.server.scheme}://{route.server.authority}"
