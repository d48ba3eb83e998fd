from typing import Any, cast

import pytest

from bff.proxy.credentials import UpstreamCredentials
from bff.proxy.dpop import DpopProofs
from tests.harness.routes import a_route

CHALLENGE = (b"www-authenticate", b'DPoP error="use_dpop_nonce"')
API = a_route("/api", "https://api.internal/v1")


class Bound:
    dpop_bound = True

    def dpop_proof(self, method: str, url: str, nonce: str | None) -> str:
        return f"{method} {url} {nonce}"


def proof(proofs: DpopProofs, upstream: str = "https://api.internal", credentials: Any = None) -> bytes | None:
    bound = cast("UpstreamCredentials", credentials or Bound())
    return proofs.proof(bound, a_route("/api", upstream), "GET", b"/v1/x?a=1")


def test_a_proof_names_the_url_without_its_query() -> None:
    assert proof(DpopProofs()) == b"GET https://api.internal/v1/x None"


def test_a_token_that_is_not_bound_needs_none() -> None:
    unbound = Bound()
    unbound.dpop_bound = False
    assert proof(DpopProofs(), credentials=unbound) is None
    assert DpopProofs().proof(None, API, "GET", b"/v1/x") is None
    without = a_route("/api", token={"identity": {"audience": "a"}})
    assert DpopProofs().proof(cast("UpstreamCredentials", Bound()), without, "GET", b"/x") is None


@pytest.mark.parametrize(
    ("status", "headers", "required", "nonce"),
    [
        (401, [CHALLENGE, (b"dpop-nonce", b"n-1")], True, b"n-1"),
        (200, [(b"dpop-nonce", b"n-1")], False, b"n-1"),
        (403, [CHALLENGE, (b"dpop-nonce", b"n-1")], False, b"n-1"),
        (401, [(b"www-authenticate", b'DPoP error="invalid_token"'), (b"dpop-nonce", b"n-1")], False, b"n-1"),
        (401, [CHALLENGE], False, b"None"),
        (401, [CHALLENGE, (b"dpop-nonce", b"not a nonce")], False, b"None"),
    ],
)
def test_a_nonce_is_kept_for_its_upstream(
    status: int, headers: list[tuple[bytes, bytes]], required: bool, nonce: bytes
) -> None:
    proofs = DpopProofs()
    assert proofs.requires_nonce(API, status, headers) is required
    sent = proof(proofs)
    assert sent is not None
    assert sent.endswith(b" " + nonce)
    other = proof(proofs, "https://other.internal")
    assert other is not None
    assert other.endswith(b" None")
