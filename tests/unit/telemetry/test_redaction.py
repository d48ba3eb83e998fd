"""What a log line must not contain, of any logger; and what must stay readable."""

import base64
import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bff.telemetry.redaction import LIMIT, REDACTED, escape, redact, redact_field

JWT = "eyJhbGciOiJSUzI1NiIsImtpZCI6ImsxIn0.eyJzdWIiOiIwMHVjYW5hcnkifQ.c2lnbmF0dXJlLWNhbmFyeQ"
JWE = "eyJhbGciOiJSU0EtT0FFUC0yNTYifQ.a2V5.aXY.Y2FuYXJ5.dGFn"

LINES = {
    "jwt": f"token {JWT} refused",
    "jwt-without-signature": f"got {JWT.rpartition('.')[0]}.",
    "jwt-cut-off": f"got {JWT[:60]}",
    "jwe": f"got {JWE}",
    "bearer": "Authorization: Bearer canary.canary-123",
    "bearer-lower": "authorization: bearer canary.canary-123",
    "dpop": "Authorization: DPoP canary.canary-123",
    "basic": "Authorization: Basic Y2FuYXJ5OmNhbmFyeQ==",
    "dict-of-headers": "{'Authorization': 'Bearer canary-canary', 'accept': '*/*'}",
    "callback": "GET /authorization-code/callback?code=canary-code-1&state=canary-state.x HTTP/1.1",
    "callback-encoded": "next=/authorization-code/callback%3Fcode%3Dcanary-code-1",
    "form": "grant_type=refresh_token&refresh_token=canary&client_secret=canary",
    "json": '{"access_token":"canary","refresh_token": "canary", "id_token" : "canary", "expires_in": 3600}',
    "json-in-a-string": '"{\\"refresh_token\\": \\"canary\\"}"',
    "python-dict": "{'client_secret': 'canary', 'code_verifier': 'canary'}",
    "assertion": "client_assertion=canary.canary.canary",
    "id-token-hint": "/logout?id_token_hint=canary&post_logout_redirect_uri=x",
    "logout-token": "logout_token=canary",
    "ssws": "Authorization: SSWS canarycanary",
    "login-hint": "GET /auth/login?iss=x&login_hint=canary%40example.com HTTP/1.1",
    "password": "password=canary",
    "passphrase": "passphrase: canary",
    "cookie": "Cookie: a=canary; __Host-Http-session=canary",
    "cookie-in-a-list": "[(b'cookie', b'__Host-Http-session=canary; theirs=canary'), (b'host', b'app')]",
    "set-cookie": "set-cookie: __Host-Http-session=canary; Path=/; Secure; HttpOnly",
    "cookie-pair": "bad pair __Host-Http-login-AbC=canary",
    "loopback-cookie": "bad pair session=canary-canary",
    "redis": "redis://:canary@redis.internal:6379/0 refused",
    "redis-slash": "rediss://user:can/canary@redis.internal refused",
    "redis-sentinel": "redis+sentinel://user:canary@s1:26379,s2:26379/primary",
    "redis-tls-sentinel": "rediss+sentinel://user:can/canary@s1:26379/primary",
    "userinfo": "https://user:canary@proxy.internal:3128",
    "userinfo-two-ats": "http://user:x@canary@proxy.internal",
    "okta-refresh-token": "refused " + "canaryQ0K-" * 5 + "a9",
}


@pytest.mark.parametrize("line", [pytest.param(line, id=f"LG-001-{name}") for name, line in LINES.items()])
def test_no_secret_survives(line: str) -> None:
    shown = redact(line)
    assert "canary" not in shown
    assert "Y2FuYXJ5" not in shown
    assert "eyJ" not in shown


@pytest.mark.parametrize("port", [pytest.param(port, id=f"LG-009-{port}") for port in ("6379", "6379/0")])
def test_the_address_of_a_store_stays_without_its_password(port: str) -> None:
    assert redact(f"redis://:canary@redis.internal:{port}") == f"redis://{REDACTED}@redis.internal:{port}"


@pytest.mark.parametrize(
    "line",
    [
        "Application startup complete.",
        "status code=503 from https://example.okta.com/oauth2/v1/token",
        "refresh token refused: invalid_grant",
        "session 1a2b3c4d ended: refresh_token_invalid",
        "https://app.example.com/orders?page=2&sort=name",
        "write to someone@example.com about https://example.com",
        "bff.flows.sign_in.AuthorizationCodeFlow._exchange_the_code failed",
        "sha256 2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824",
    ],
)
def test_what_is_no_secret_stays_readable(line: str) -> None:
    assert redact(line) == line


def test_a_field_named_like_a_secret_shows_nothing_but_an_error_code() -> None:
    for name in ("refresh_token", "code", "Cookie", "set-cookie", "client_secret", "headers", "nonce"):
        assert redact_field(name, "Canary") == REDACTED, name
    for name, value in (("code", "csrf_required"), ("reason", "no_refresh_token"), ("path", "/x")):
        assert redact_field(name, value) == value


@given(st.binary(min_size=32, max_size=64))
def test_random_bytes_in_base64url_never_pass(material: bytes) -> None:
    """But for values without an upper-case or a lower-case letter: one in 10**9."""
    text = base64.urlsafe_b64encode(material).rstrip(b"=").decode()
    if any(char.isupper() for char in text) and any(char.islower() for char in text):
        assert text not in redact(f"got {text} from a client")


@pytest.mark.parametrize(
    "unit", ["eyJ", "a=", "://", "@", "cookie:", "Bearer ", "code=", "-", "A1a", "eyJa.", '"', "x://a@"]
)
def test_a_line_is_cut_before_it_is_searched(unit: str) -> None:
    """Otherwise a client could keep the event loop busy with one long line."""
    shown = redact(unit * (4 * LIMIT))
    assert "more characters" in shown or REDACTED in shown or "[jwt]" in shown
    assert len(shown) < 8 * LIMIT


TRICKS = {
    "ansi-clear": "\x1b[2J",
    "osc-title": "\x1b]0;owned\x07",
    "c1-csi": "\x9b2J",
    "nel": "\x85",
    "crlf": "x\r\n2026-11-24T00:00:00 info bff: signed in",
    "backspace": "admin\b\b\b\b\bguest",
    "rtl-override": "\u202egnp.exe",
    "isolate": "\u2066x\u2069",
    "line-separator": "\u2028",
    "zero-width": "a\u200bb",
    "byte-order-mark": "\ufeff",
    "tag-characters": "\U000e0041",
    "lone-surrogate": "\udc9f",
    "nul": "\x00",
    "delete": "\x7f",
}


@pytest.mark.parametrize("trick", [pytest.param(trick, id=f"LG-012-{name}") for name, trick in TRICKS.items()])
def test_nothing_acts_on_the_terminal(trick: str) -> None:
    assert escape(f"sub {trick} end").isprintable()


@given(st.text())
@example("žluťoučký kůň 日本語 🦊")
def test_escaping_shows_all_and_changes_no_letter(text: str) -> None:
    shown = escape(text)
    assert shown.isprintable()
    kept = [char for char in text if unicodedata.category(char)[0] in "LNPSM"]
    assert all(char in shown for char in kept)
