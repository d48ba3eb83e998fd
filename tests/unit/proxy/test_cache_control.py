import pytest

from bff.proxy.cache_control import authenticated_cache_control


@pytest.mark.parametrize(
    ("sent", "received"),
    [
        (None, b"no-store"),
        (b"", b"no-store"),
        (b"private, max-age=5", b"private, max-age=5"),
        (b"no-store", b"no-store"),
        # The upstream knows that no shared cache stores a response to Authorization. The browser sent a cookie.
        (b"max-age=60", b"max-age=60, private"),
        (b"no-cache", b"no-cache, private"),
        (b"max-age=60, must-revalidate", b"max-age=60, must-revalidate, private"),
        # Only the route can allow shared caches.
        (b"Public, max-age=60", b"max-age=60, private"),
        (b"s-maxage=60", b"private"),
        (b"PUBLIC", b"private"),
        (b"max-age=60,s-maxage=600 , Immutable,public", b"max-age=60, Immutable, private"),
        (b"private, public, max-age=5", b"private, max-age=5"),
        (b"no-store, s-maxage=5", b"no-store"),
        (b'public="x", max-age=5', b"max-age=5, private"),
        # Of one field only: the rest may be stored.
        (b'private="set-cookie", max-age=5', b'private="set-cookie", max-age=5, private'),
        (b'max-age=5, x="private, no-store"', b'max-age=5, x="private, no-store", private'),
        # Malformed: some cache finds a `public` in it.
        (b"public max-age=60", b"no-store"),
        (b"max-age=60; public", b"no-store"),
        (b'max-age=60, x="public', b"no-store"),
        (b"max-age = 60", b"no-store"),
        (b"max-age=60, " + b"x" * 2000, b"no-store"),
        (b",, ,", b"no-store"),
    ],
)
def test_no_shared_cache_stores_an_authenticated_response(sent: bytes | None, received: bytes) -> None:
    assert authenticated_cache_control(sent, allow_shared=False) == received


@pytest.mark.parametrize(
    ("sent", "received"),
    [
        (None, b"no-store"),
        (b"Public, max-age=60", b"Public, max-age=60"),
        (b"s-maxage=60", b"s-maxage=60"),
        (b"max-age=60", b"max-age=60, private"),
        (b"public max-age=60", b"no-store"),
    ],
)
def test_a_route_may_let_the_upstream_allow_shared_caches(sent: bytes | None, received: bytes) -> None:
    assert authenticated_cache_control(sent, allow_shared=True) == received
