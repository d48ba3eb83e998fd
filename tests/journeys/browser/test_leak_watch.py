"""The leak watch finds what it is for; otherwise the other tests of this folder would prove nothing."""

import hashlib

import pytest

from tests.harness.leak_watch import LeakWatch

REFRESH_TOKEN = "k3Jf0vQmZ1x8yWcT5rB7nLhDgSaPuEoI2q4X6C9-_tY"
KNOWN = {hashlib.sha256(REFRESH_TOKEN.encode()).hexdigest()[:8]}
ACCESS_TOKEN = "eyJhbGciOiJSUzI1NiJ9.eyJzY3AiOlsib3BlbmlkIl19.c2lnbmF0dXJl"
ID_TOKEN = "eyJhbGciOiJSUzI1NiJ9.eyJhdF9oYXNoIjoiaCJ9.c2lnbmF0dXJl"
LOGOUT = f"https://okta.example/v1/logout?id_token_hint={ID_TOKEN}&state=s"


TOKENS = (
    f"<p>{ACCESS_TOKEN}</p>",
    f"https://okta.example/v1/logout?id_token_hint={ACCESS_TOKEN}",
    f"https://app.example/?id_token_hint={ID_TOKEN}",
    f'{{"end_session_url": "https://okta.example/v1/logout?id_token_hint={ID_TOKEN}", "id": "{ID_TOKEN}x"}}',
    '{"access_token": "an-opaque-one-of-some-length"}',
    "https://app.example/#access_token=opaque",
    f"set-cookie: session={REFRESH_TOKEN}; HttpOnly",
)
SCRIPTS_READ = ("body of /auth/logout", "header of /auth/logout", "what scripts can reach")


async def test_a_token_is_found_and_an_id_token_too_where_a_script_can_read_it() -> None:
    leaks = [(where, text) for where in ("body of /", "URL", "header of /auth/logout/provider") for text in TOKENS]
    leaks += [(where, text) for where in SCRIPTS_READ for text in (LOGOUT, f'{{"end_session_url": "{LOGOUT}"}}')]
    for leak in leaks:
        with pytest.raises(AssertionError, match=r"a JWT in|a token by its name in|refresh token "):
            await LeakWatch("http://localhost", texts=[leak]).assert_no_token(KNOWN)


async def test_an_authorization_header_that_the_browser_sends_is_found() -> None:
    with pytest.raises(AssertionError):
        await LeakWatch("http://localhost", authorization_sent=["http://localhost/api"]).assert_no_token(KNOWN)


async def test_other_text_passes() -> None:
    texts = [
        ("URL", LOGOUT),
        ("header of /auth/logout/provider", f"location: {LOGOUT}"),
        ("body", '{"refresh_token": "1a2b3c4d", "sealed": "AAECAwQFBgcICQoLDA0ODw"}'),
    ]
    await LeakWatch("http://localhost", texts=texts).assert_no_token(KNOWN)


async def test_a_watch_that_knows_no_token_fails() -> None:
    with pytest.raises(AssertionError, match="catch nothing"):
        await LeakWatch("http://localhost").assert_no_token(set())
