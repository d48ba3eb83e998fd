"""Each setting by itself, then the rules over two of them."""

from base64 import urlsafe_b64encode
from pathlib import Path

import pytest

from bff.config import validators
from bff.config.settings import load_settings
from bff.storage.open import REDIS_SCHEMES
from tests.harness.settings import KEY, OLD_KEY, RIGHT, problems, with_changes


def key_of(material: bytes) -> str:
    return urlsafe_b64encode(material).rstrip(b"=").decode()


def test_the_smallest_configuration_is_enough() -> None:
    settings = load_settings(RIGHT)
    assert settings.browser.redirect_uri == "https://app.example.com/authorization-code/callback"
    assert settings.browser.post_logout_redirect_uri == "https://app.example.com/"
    assert settings.provider.scopes == ("openid", "profile", "email", "offline_access")
    assert settings.server.listen_address == ("127.0.0.1", 8080)
    assert settings.server.management_address == ("127.0.0.1", 9090)
    assert settings.browser.cookies_secure
    assert [len(key) for key in settings.session.key_ring] == [32]


def test_the_store_accepts_the_schemes_of_the_settings() -> None:
    assert validators.REDIS_SCHEMES == REDIS_SCHEMES


def test_no_secret_shows_in_any_form_of_the_settings() -> None:
    environ = with_changes(
        client_secret_next="canary-next-secret",
        store="redis://:canary-store-password@redis.internal/0",
        provider_proxy="http://user:canary-proxy-password@proxy.internal:3128",
    )
    settings = load_settings(environ)
    for shown in (repr(settings), str(settings), f"{settings}"):
        assert "canary" not in shown
        assert KEY not in shown


REQUIRED = ["ISSUER", "CLIENT_ID", "CLIENT_SECRET", "PUBLIC_URL", "SESSION_KEYS"]


@pytest.mark.parametrize("empty", [False, True], ids=["unset", "empty"])
@pytest.mark.parametrize("name", [pytest.param(name, id=f"OP-001-{name.lower()}") for name in REQUIRED])
def test_a_missing_setting_has_no_default(name: str, empty: bool) -> None:
    reported = problems(with_changes(**{name.lower(): "" if empty else None}))
    assert list(reported) == [f"BFF_{name}"]
    assert reported[f"BFF_{name}"].startswith("is missing")


ISSUERS = r"""
https://dev-123-admin.okta.com https://acme-admin.oktapreview.com/oauth2/default https://{yourOktaDomain}/oauth2/default
https://${yourOktaDomain} https://yourOktaDomain.okta.com https://%7ByourOktaDomain%7D
http://example.okta.com HTTP://example.okta.com http://localhost.example.com
http://localhost@example.com example.okta.com ftp://example.okta.com https://example.okta.com?x=1
https://example.okta.com? https://example.okta.com#x https://example.okta.com# https://user:canary@example.okta.com
https://Example.okta.com https:///oauth2/default https://example.okta.com:99999 https://example.okta.com:0
https://example.okta.com: https://[::1
"""


@pytest.mark.case("IT-023")
@pytest.mark.parametrize("issuer", ["", " https://example.okta.com", "https://example.okta.com\n/x", *ISSUERS.split()])
def test_an_invalid_issuer_is_refused(issuer: str) -> None:
    reported = problems(with_changes(issuer=issuer))
    assert list(reported) == ["BFF_ISSUER"]
    assert "canary" not in reported["BFF_ISSUER"]


def test_the_fix_for_an_admin_address_is_the_issuer() -> None:
    reported = problems(with_changes(issuer="https://dev-123-admin.okta.com"))
    assert "https://dev-123.okta.com." in reported["BFF_ISSUER"]


@pytest.mark.parametrize(
    "issuer",
    [
        "https://example.okta.com",
        "https://example.okta.com/oauth2/default",
        "https://login.example.com:8443/oauth2/aus1",
        "https://team-admin.example.com",
        "http://localhost:9999/oauth2/default",
        "http://127.0.0.1:9999",
        "http://[::1]:9999",
    ],
)
def test_an_issuer_is_kept_as_it_is_written(issuer: str) -> None:
    assert load_settings(with_changes(issuer=issuer)).provider.issuer == issuer


WEAK_KEYS = {
    "OP-002-changeme": "changeme",
    "OP-002-changeme-of-the-right-size": key_of(b"changemechangemechangemechangeme"),
    "OP-002-8-bytes": key_of(b"\x8f\x11\xd3\x90\x42\xee\x07\x5a"),
    "OP-002-all-zeros": key_of(bytes(32)),
    "OP-002-example-file": "q83vEjRWeJCrze8SNFZ4kKvN7xI0VniQERPHJmVQzvQ",
    "all-ones": key_of(b"\xff" * 32),
    "counting": key_of(bytes(range(32))),
    "counting-down": key_of(bytes(range(255, 223, -1))),
    "a-pattern": key_of(bytes.fromhex("deadbeefcafef00d") * 4),
    "text": key_of(b"correct horse battery staple, 32"),
    "31-bytes": key_of(bytes.fromhex(KEY.encode().hex()[:62])),
    "33-bytes": key_of(KEY.encode()[:33]),
    "hex": "a3f1" * 16,
    "standard-base64": KEY.replace(KEY[0], "+", 1),
    "inner-blank-splits-it": f"{KEY[:20]} {KEY[20:]}",
    "second-spelling": KEY[:-1] + chr(ord(KEY[-1]) + 1),
}


@pytest.mark.parametrize("key", [pytest.param(key, id=name) for name, key in WEAK_KEYS.items()])
@pytest.mark.parametrize("ring", ["{}", f"{KEY},{{}}"], ids=["alone", "behind-a-good-one"])
def test_a_weak_session_key_is_refused_and_not_printed(key: str, ring: str) -> None:
    reported = problems(with_changes(session_keys=ring.format(key)))
    assert all(name.startswith("BFF_SESSION_KEYS[") for name in reported)
    assert key not in str(reported)


def test_the_key_of_the_documentation_is_refused() -> None:
    reported = problems(with_changes(session_keys=validators.EXAMPLE_KEY))
    assert "example of the documentation" in reported["BFF_SESSION_KEYS[0]"]


@pytest.mark.parametrize("separator", [",", " ", "\n", ", ", "\r\n"])
def test_a_ring_of_keys_keeps_its_order(separator: str) -> None:
    settings = load_settings(with_changes(session_keys=separator.join([KEY, OLD_KEY])))
    assert [key.get_secret_value() for key in settings.session.keys] == [KEY, OLD_KEY]


REFUSED: dict[str, tuple[str, ...]] = {
    "client_id": ("{yourClientId}", "two words"),
    "client_secret": (
        "changeme",
        "{yourClientSecret}",
        "<secret>",
        "${SECRET}",
        "$CLIENT_SECRET",
        "two words",
        "pa\u00dfwort",
        "a\x7fb",
    ),
    "client_auth": ("none",),
    "sign_out_hint": ("never", "optional", "sometimes"),  # the issuer of these tests is at Okta
    "public_url": (
        *("http://app.example.com", "https://app.example.com/", "https://app.example.com/app", "null"),
        *("https://app.example.com:443", "http://localhost:80", "https://App.example.com", "https://*.example.com"),
        "https://bücher.example",
    ),
    "callback_path": (
        *("callback", "/", "/callback/", "//evil.example", "/a/../b", "/call%62ack", "/callback?x=1"),
        *("/auth/login", "/auth/verify"),
    ),
    "landing_path": ("/auth/logout", "https://evil.example", "//evil.example", "/\\evil.example"),
    "signed_out_path": ("/auth", "//evil.example"),
    "scopes": ("profile email", 'openid "quoted"'),
    "user_claims": ("name email",),
    "id_token_algorithms": ("HS256", "RS256,none"),
    "clock_skew": ("301", "-1", "a minute"),
    "store": (
        *("mysql://root:canary@db/x", "sqlite://var/bff.db", "sqlite:///", "sqlite:///bff.db?mode=memory"),
        "redis://",
    ),
    "idle_timeout": ("0", "1.5"),
    "login_lifetime": ("30",),
    "refresh_grace": ("61", "-1"),
    "refresh_before_expiry": ("nan",),
    "refresh_lease": ("inf",),
    "refresh_after_grace": ("perhaps",),
    "refresh_concurrency": ("0",),
    "prompt": ("none", "login none", "sometimes"),
    "refresh_final_errors": ("invalid_grant invalid_client", "temporarily_unavailable", "unreadable", "café"),
    "allowed_origins": (
        *("*", "null", "https://ok.example https://*.example.com", "https://admin.example.com/"),
        "http://admin.example.com",
    ),
    "routes": ("not json", '{"prefix": "/api"}'),
    "spa_dir": ("/nowhere",),
    "spa_upstream": ("127.0.0.1:5173",),
    "listen": ("8080", "127.0.0.1:65536", "::1:8080"),
    "management_listen": ("127.0.0.1:8080",),
    "trusted_proxies": ("proxy.internal", "10.0.0.1/8"),
    "provider_proxy": ("user:canary@proxy",),
    "provider_ca_file": ("/nowhere/ca.pem",),
    "provider_timeout": ("0",),
    "log_level": ("chatty",),
    "log_format": ("xml",),
}


@pytest.mark.parametrize(("name", "value"), [(name, value) for name, bad in REFUSED.items() for value in bad])
def test_an_invalid_value_is_reported_under_its_setting(name: str, value: str) -> None:
    reported = problems(with_changes(**{name: value}))
    assert {setting.partition("[")[0] for setting in reported} == {f"BFF_{name.upper()}"}
    assert "valid tuple" not in str(reported.values())
    assert "canary" not in str(reported)


def test_valid_values_are_parsed(tmp_path: Path) -> None:
    (tmp_path / "index.html").write_text("<!doctype html>")
    settings = load_settings(
        with_changes(
            allowed_origins="https://admin.example.com, http://localhost:5173",
            trusted_proxies="10.0.0.0/8 2001:db8::1",
            listen="[::1]:0",
            management_listen="off",
            spa_dir=str(tmp_path),
            refresh_after_grace="false",
            log_level="WARNING",
            scopes="openid openid groups",
        )
    )
    assert settings.browser.allowed_origins == ("https://admin.example.com", "http://localhost:5173")
    assert settings.server.trusted_proxies == ("10.0.0.0/8", "2001:db8::1/128")
    assert (settings.server.listen_address, settings.server.management_address) == (("::1", 0), None)
    assert (settings.spa.dir, settings.refresh.after_grace, settings.telemetry.log_level) == (
        tmp_path,
        False,
        "warning",
    )
    assert settings.provider.scopes == ("openid", "groups")


@pytest.mark.parametrize(
    ("public_url", "secure"),
    [
        ("https://app.example.com", True),
        ("https://localhost:8443", True),
        ("http://localhost:8080", False),
        ("http://127.0.0.1:8080", False),
        ("http://[::1]:8080", False),
        ("http://app.localhost:8080", False),
    ],
)
def test_cookies_are_secure_except_for_http_on_this_machine(public_url: str, secure: bool) -> None:
    assert load_settings(with_changes(public_url=public_url)).browser.cookies_secure is secure


@pytest.mark.parametrize(
    "changes",
    [
        {"listen": "127.0.0.1:8080"},
        {"listen": "[::1]:8080"},
        {"listen": "localhost:8080"},
        {"listen": "unix:/run/bff/bff.sock"},
        {"listen": "0.0.0.0:8080", "listen_beyond_loopback": "true"},
        {"listen": "0.0.0.0:8080", "public_url": "https://localhost:8443"},
    ],
)
def test_http_on_this_machine_listens_on_this_machine_unless_it_is_permitted(changes: dict[str, str]) -> None:
    assert (
        load_settings(with_changes(**{"public_url": "http://localhost:8080", **changes})).server.listen
        == changes["listen"]
    )


@pytest.mark.parametrize(
    ("prompt", "requested", "sent"),
    [
        ("", None, None),
        ("", "login", "login"),
        ("consent", None, "consent"),
        ("consent", "login", "login consent"),
        ("consent", "consent", "consent"),
        ("login consent", "select_account", "select_account login consent"),
        ("consent", "none", "none"),  # a silent check stays silent
    ],
)
def test_the_default_prompt_is_added_to_what_a_link_requests(prompt: str, requested: str | None, sent: str) -> None:
    assert load_settings(with_changes(prompt=prompt)).sign_in.prompt_with(requested) == sent


@pytest.mark.parametrize(
    ("listed", "final"),
    [
        ("invalid_grant", ("invalid_grant",)),
        ("invalid_grant,invalid_request", ("invalid_grant", "invalid_request")),
        ("invalid_request", ("invalid_grant", "invalid_request")),
        ("", ("invalid_grant",)),
    ],
)
def test_invalid_grant_is_final_whatever_else_is(listed: str, final: tuple[str, ...]) -> None:
    assert load_settings(with_changes(refresh_final_errors=listed)).refresh.final_errors == final


# --- rules over two settings


@pytest.mark.parametrize(
    ("changes", "setting"),
    [
        ({"idle_timeout": "3601", "absolute_timeout": "3600"}, "BFF_ABSOLUTE_TIMEOUT"),
        ({"refresh_timeout": "10"}, "BFF_REFRESH_LEASE"),
        ({"refresh_lease": "8"}, "BFF_REFRESH_LEASE"),
        ({"client_auth": "private_key_jwt"}, "BFF_CLIENT_PRIVATE_KEY"),
        ({"client_auth": "client_secret_jwt"}, "BFF_CLIENT_SECRET"),
        ({"listen": "127.0.0.1:9090"}, "BFF_MANAGEMENT_LISTEN"),
        ({"public_url": "http://localhost:8080", "listen": "0.0.0.0:8080"}, "BFF_PUBLIC_URL"),
        ({"public_url": "http://127.0.0.1:8080", "listen": "10.0.0.7:8080"}, "BFF_PUBLIC_URL"),
        ({"public_url": "http://[::1]:8080", "listen": "[::]:8080"}, "BFF_PUBLIC_URL"),
        ({"public_url": "http://app.localhost:8080", "listen": "[::ffff:0.0.0.0]:8080"}, "BFF_PUBLIC_URL"),
        ({"public_url": "http://localhost:8080", "listen": "bff.internal:8080"}, "BFF_PUBLIC_URL"),
        (
            {
                "public_url": "http://localhost:8080",
                "forward_auth_listen": "0.0.0.0:8081",
                "trusted_proxies": "10.0.0.2",
            },
            "BFF_PUBLIC_URL",
        ),
        ({"callback_path": "/back", "landing_path": "/back"}, "BFF_LANDING_PATH"),
        ({"callback_path": "/back", "signed_out_path": "/back"}, "BFF_SIGNED_OUT_PATH"),
    ],
)
def test_two_settings_that_contradict_each_other_are_refused(changes: dict[str, str], setting: str) -> None:
    assert list(problems(with_changes(**changes))) == [setting]


def test_the_spa_is_served_from_one_place(tmp_path: Path) -> None:
    (tmp_path / "index.html").touch()
    environ = with_changes(spa_dir=str(tmp_path), spa_upstream="http://127.0.0.1:5173")
    assert list(problems(environ)) == ["BFF_SPA_UPSTREAM"]
