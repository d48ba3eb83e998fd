"""Checks of the settings alone: trusted proxies, the key ring, and the sizes of cookies."""

import pytest

from bff.admin.doctor import settings as checks
from bff.base64url import encode_base64url
from bff.config.settings import Settings, load_settings
from bff.session.keyring import new_key
from tests.harness.settings import KEY, OLD_KEY, with_changes


def settings(**changes: str | None) -> Settings:
    return load_settings(with_changes(**changes))


@pytest.mark.parametrize(
    ("changes", "status", "fix"),
    [
        ({"trusted_proxies": None}, "warn", "127.0.0.1 ::1"),
        ({"listen": "0.0.0.0:8080"}, "warn", "10.0.0.0/8"),
        ({"listen": "unix:/run/bff.sock"}, "warn", "unix"),
        ({"trusted_proxies": "0.0.0.0/0"}, "warn", "any client"),
        ({"trusted_proxies": "10.0.0.0/8"}, "ok", ""),
        ({"public_url": "http://localhost:8080"}, "ok", ""),
    ],
)
def test_trusted_proxies(changes: dict[str, str | None], status: str, fix: str) -> None:
    result = checks.trusted_proxies(settings(**changes))
    assert (result.status, fix in result.fix) == (status, True), result


def test_the_key_ring_is_counted_and_not_shown() -> None:
    result = checks.key_ring(settings(session_keys=f"{KEY} {OLD_KEY}"))
    assert (result.status, result.observed.startswith("2 in the ring, newest ")) == ("ok", True)
    assert KEY not in result.observed
    assert OLD_KEY not in result.observed
    many = " ".join(encode_base64url(new_key()) for _ in range(5))
    assert checks.key_ring(settings(session_keys=many)).status == "warn"


def test_the_sizes_of_cookies_do_not_depend_on_the_settings() -> None:
    usual, longest = (checks.cookies(settings(**more)) for more in ({}, {"callback_path": "/" + "a" * 1800}))
    assert usual == longest
    assert (usual.status, "8192 per header line" in usual.observed) == ("ok", True)
