"""The document with our public keys: there only if there are any, and cached."""

import json
from pathlib import Path
from typing import Any

import pytest

from bff.config.browser import KEY_SET_PATH
from tests.harness.asgi_call import call
from tests.harness.minting import EC_KEY, EC_KEY_384, RSA_KEY, jwk, private_jwk
from tests.harness.web_parts import FETCH, NAVIGATION, WebParts, web_parts

RING = {"decryption_keys": json.dumps({"keys": [private_jwk(EC_KEY, "new"), private_jwk(EC_KEY_384, "old")]})}
CLIENT_KEY = {
    "client_auth": "private_key_jwt",
    "client_private_key": json.dumps(private_jwk(RSA_KEY, "own")),
    "client_key_algorithm": "PS256",
    "client_secret": None,
}
DECRYPTION_JWK = {**jwk(EC_KEY, "new"), "use": "enc"}
ASSERTION_KEYS = {"assertion_keys": json.dumps({"keys": [private_jwk(EC_KEY, "new"), private_jwk(RSA_KEY, "old")]})}
ASSERTION_JWKS = [
    {**jwk(EC_KEY, "new"), "use": "sig", "alg": "ES256"},
    {**jwk(RSA_KEY, "old"), "use": "sig", "alg": "RS256"},
]
CLIENT_JWK = {**jwk(RSA_KEY, "own"), "use": "sig", "alg": "PS256"}


async def get(parts: WebParts, *lines: str, method: str = "GET", path: str = KEY_SET_PATH) -> Any:
    return await call(parts.public, method, path, *lines)


@pytest.mark.parametrize(
    ("changes", "keys"),
    [
        (ASSERTION_KEYS, ASSERTION_JWKS),
        (RING, [DECRYPTION_JWK]),
        (CLIENT_KEY, [CLIENT_JWK]),
        ({**RING, **CLIENT_KEY}, [CLIENT_JWK, DECRYPTION_JWK]),
    ],
)
async def test_it_has_every_public_key_and_no_private_one(tmp_path: Path, changes: Any, keys: list[Any]) -> None:
    async with web_parts(tmp_path, **changes) as parts:
        response = await get(parts)
    assert (response.status, json.loads(response.body)) == (200, {"keys": keys})
    assert response.one("content-type") == "application/json"
    assert response.one("cache-control") == "public, max-age=300"
    assert response.all("set-cookie") == []


async def test_a_client_that_has_it_gets_304(tmp_path: Path) -> None:
    async with web_parts(tmp_path, **RING) as parts:
        full, head = await get(parts), await get(parts, method="HEAD")
        etag = full.one("etag")
        assert (head.status, head.body, head.one("etag")) == (200, b"", etag)
        assert head.one("content-length") == str(len(full.body))
        for value in (etag, f'"another", W/{etag}', "*"):
            same = await get(parts, f"if-none-match: {value}")
            assert (same.status, same.body, same.one("etag")) == (304, b"", etag)
        for value in ('"another"', ""):
            assert (await get(parts, f"if-none-match: {value}")).status == 200


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
async def test_it_is_only_read(tmp_path: Path, method: str) -> None:
    async with web_parts(tmp_path, **RING) as parts:
        response = await get(parts, *FETCH, method=method)
    assert (response.status, response.one("allow")) == (405, "GET, HEAD")


@pytest.mark.parametrize("changes", [{}, RING])
async def test_without_keys_the_path_is_not_reserved(tmp_path: Path, changes: Any) -> None:
    """A development server of the SPA answers every path that is not ours."""
    async with web_parts(tmp_path, spa_upstream="http://127.0.0.1:9", **changes) as parts:
        response = await get(parts, *NAVIGATION)
        assert response.status == (200 if changes else 502)
        below = await get(parts, *NAVIGATION, path=f"{KEY_SET_PATH}/x")
        assert below.status == 502
