"""Logout requests of the provider: a signature ends sessions, and nothing else does."""

from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

import pytest

from bff.web.auth.provider_logout import FORM_LIMIT, FRONT_CHANNEL_LIMIT
from tests.harness.asgi_call import Response, call
from tests.harness.web_parts import CLIENT_ID, FORM, ISSUER, LOGOUT_EVENT, PUBLIC_URL, Browser, WebParts

BACK, FRONT, UNIVERSAL = "/auth/backchannel-logout", "/auth/frontchannel-logout", "/auth/global-token-revocation"


def logout_token(parts: WebParts, **claims: Any) -> str:
    content = {"aud": CLIENT_ID, "jti": "j-1", "sub": "00u1", "events": LOGOUT_EVENT, **claims}
    return parts.provider.sign("logout+jwt", **{name: value for name, value in content.items() if value is not None})


async def back_channel(parts: WebParts, token: str, *lines: str) -> Response:
    body = urlencode({"logout_token": token}).encode()
    return await call(parts.public, "POST", BACK, *(lines or (FORM,)), body=body)


@pytest.mark.case("BL-011")
@pytest.mark.usefixtures("signed_in")
@pytest.mark.parametrize(
    ("claims", "status", "left"),
    [
        ({}, 200, 0),
        ({"sub": "00u2"}, 200, 1),
        ({"aud": "another"}, 400, 1),
    ],
)
async def test_a_logout_token_ends_the_sessions_it_names(
    parts: WebParts, claims: dict[str, Any], status: int, left: int
) -> None:
    response = await back_channel(parts, logout_token(parts, **claims))
    assert (response.status, len(await parts.sessions())) == (status, left)
    assert response.one("cache-control") == "no-store"


@pytest.mark.usefixtures("signed_in")
@pytest.mark.parametrize(
    ("content_type", "body", "status"),
    [
        (FORM, b"logout_token=x.y.z", 400),
        (FORM, b"token=1", 400),
        (FORM, b"logout_token=1&logout_token=2", 400),
        ("content-type: application/json", b"{}", 415),
        (FORM, b"logout_token=" + b"a" * FORM_LIMIT, 413),
    ],
)
async def test_a_malformed_back_channel_request_ends_nothing(
    parts: WebParts, content_type: str, body: bytes, status: int
) -> None:
    assert (await call(parts.public, "POST", BACK, content_type, body=body)).status == status
    assert len(await parts.sessions()) == 1


@pytest.mark.case("BL-017")
async def test_without_the_store_a_logout_token_is_not_used(signed_in: Browser, parts: WebParts) -> None:
    token = logout_token(parts)
    await parts.stores.sessions.close()
    assert (await back_channel(parts, token)).problem == (503, "store_unavailable")


@pytest.mark.usefixtures("signed_in")
@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize(
    ("fields", "left"),
    [
        ({"iss": ISSUER, "sid": "sid-1"}, 0),
        ({"sid": "sid-1"}, 1),
    ],
)
async def test_a_front_channel_request_says_nothing_of_what_it_found(
    parts: WebParts, method: str, fields: dict[str, str], left: int
) -> None:
    encoded = urlencode(fields)
    if method == "GET":
        response = await call(parts.public, "GET", f"{FRONT}?{encoded}")
    else:
        response = await call(parts.public, "POST", FRONT, FORM, body=encoded.encode())
    assert (response.status, response.one("content-security-policy")) == (200, "default-src 'none'")
    assert response.body == b"<!doctype html><title>Signed out</title>"
    assert len(await parts.sessions()) == left


async def test_the_front_channel_is_bounded_and_answers_head(parts: WebParts) -> None:
    large = b"sid=" + b"a" * FRONT_CHANNEL_LIMIT
    assert (await call(parts.public, "POST", FRONT, FORM, body=large)).status == 413
    head = await call(parts.public, "HEAD", f"{FRONT}?sid=x")
    assert (head.status, head.body) == (200, b"")


def universal_token(parts: WebParts, **claims: Any) -> str:
    content = {"aud": PUBLIC_URL + UNIVERSAL, "sub": CLIENT_ID, "jti": "u-1", **claims}
    return parts.org.sign("global-token-revocation+jwt", **content)


async def universal(parts: WebParts, *authorization: str, body: bytes, json: bool = True) -> Response:
    lines = [f"authorization: {value}" for value in authorization]
    content_type = f"content-type: application/{'json' if json else 'xml'}"
    return await call(parts.public, "POST", UNIVERSAL, *lines, content_type, body=body)


EMAIL = b'{"sub_id": {"format": "email", "email": "ann@example.com"}}'
SUB = b'{"sub_id": {"format": "iss_sub", "iss": "https://example.okta.com", "sub": "00u1"}}'


def bearer(token: str) -> list[str]:
    return [f"Bearer {token}"]


@pytest.mark.usefixtures("signed_in")
@pytest.mark.parametrize(
    ("authorize", "body", "json", "status"),
    [
        (bearer, EMAIL, True, 204),
        (bearer, SUB, True, 204),
        (bearer, EMAIL.replace(b"ann", b"bob"), True, 404),
        (bearer, SUB.replace(b"example.okta", b"evil"), True, 404),
        (bearer, b'{"sub_id": {"format": "phone"}}', True, 400),
        (bearer, EMAIL, False, 415),
        (lambda token: [f"bearer  {token} "], SUB, True, 204),
        (lambda token: [], EMAIL, True, 401),
        (lambda token: [f"Basic {token}"], EMAIL, True, 401),
        (lambda token: [f"Bearer {token}"] * 2, EMAIL, True, 401),
        (lambda token: [f"Bearer {token}x"], EMAIL, True, 401),
        (lambda token: ["Bearer x.y.z"], b"{", True, 401),
    ],
)
async def test_universal_logout_ends_all_sessions_of_a_user(
    parts: WebParts, authorize: Callable[[str], list[str]], body: bytes, json: bool, status: int
) -> None:
    response = await universal(parts, *authorize(universal_token(parts)), body=body, json=json)
    assert (response.status, len(await parts.sessions())) == (status, 0 if status == 204 else 1)
