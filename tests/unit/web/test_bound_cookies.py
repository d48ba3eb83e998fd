"""The bound cookie: sealed, for one session and one key, until its end."""

import hashlib

import pytest

from bff.base64url import encode_base64url
from bff.session.keyring import KeyRing, new_key, new_session_id
from bff.web.bound_cookies import EARLIER, BoundCookie, BoundCookies
from bff.web.cookies import CookieNames

OLD, NEW = new_key(), new_key()
KEY = new_session_id().key
THUMBPRINT = encode_base64url(hashlib.sha256(b"key").digest())
NOW = 1_000_000.0


def cookies(*keys: bytes, secure: bool = True) -> BoundCookies:
    return BoundCookies(KeyRing.from_keys(keys or (OLD,)), CookieNames(secure=secure), lambda: NOW, lifetime=600)


def carried(cookies: BoundCookies) -> list[tuple[bytes, bytes]]:
    return [(b"cookie", cookies.seal(KEY, THUMBPRINT)[1].partition(b";")[0])]


@pytest.mark.parametrize("secure", [True, False])
def test_a_cookie_says_for_which_session_and_key_and_until_when(secure: bool) -> None:
    source = cookies(secure=secure)
    name, value = source.seal(KEY, THUMBPRINT)
    attributes = "; ".join(value.decode().split("; ")[1:])
    assert name == b"set-cookie"
    assert sorted(attributes.split("; ")) == sorted([*source.attributes.split("; "), f"Max-Age={600 - EARLIER}"])
    for _ in range(2):  # from the cache, too
        assert source.read(carried(source)) == BoundCookie(KEY, THUMBPRINT, NOW + 600)


def test_it_survives_a_new_key_and_is_distinguished_from_garbage_after_the_removal_of_its_own() -> None:
    headers = carried(cookies(OLD))
    assert isinstance(cookies(NEW, OLD).read(headers), BoundCookie)
    assert cookies(NEW).read(headers) == "unknown_key"


def test_a_cached_cookie_does_not_outlive_its_key() -> None:
    ring = KeyRing.from_keys([OLD])
    source = BoundCookies(ring, CookieNames(), lambda: NOW, lifetime=600)
    headers = carried(source)
    assert isinstance(source.read(headers), BoundCookie)
    ring.replace_keys([NEW])
    assert source.read(headers) == "unknown_key"


@pytest.mark.parametrize(
    "line", [b"a=b", b"__Host-bff-bound=", b"__Host-bff-bound=x", b"__Host-bff-bound=\xe9", b"bff-bound=x"]
)
def test_anything_else_is_none(line: bytes) -> None:
    assert cookies().read([(b"cookie", line)]) == "none"


def test_two_of_them_are_none() -> None:
    source = cookies()
    [(_, line)] = carried(source)
    assert source.read([(b"cookie", line + b"; " + line)]) == "none"
    assert source.read([(b"cookie", line), (b"cookie", line)]) == "none"
