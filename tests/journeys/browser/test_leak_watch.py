"""The nets of the leak watch catch what they are for; otherwise every other test of this folder would prove nothing."""

import hashlib

import pytest

from tests.harness.leak_watch import LeakWatch

REFRESH_TOKEN = "k3Jf0vQmZ1x8yWcT5rB7nLhDgSaPuEoI2q4X6C9-_tY"
KNOWN = {hashlib.sha256(REFRESH_TOKEN.encode()).hexdigest()[:8]}
ACCESS_TOKEN = "eyJhbGciOiJSUzI1NiJ9.eyJzY3AiOlsib3BlbmlkIl19.c2lnbmF0dXJl"
ID_TOKEN = "eyJhbGciOiJSUzI1NiJ9.eyJhdF9oYXNoIjoiaCJ9.c2lnbmF0dXJl"
LOGOUT = f"https://okta.example/v1/logout?id_token_hint={ID_TOKEN}&state=s"


@pytest.mark.parametrize("where", ["body of /", "URL", "header of /auth/logout/provider"])
@pytest.mark.parametrize(
    "text",
    [
        f"<p>{ACCESS_TOKEN}</p>",
        f"https://okta.example/v1/logout?id_token_hint={ACCESS_TOKEN}",
        f"https://app.example/?id_token_hint={ID_TOKEN}",
        f'{{"end_session_url": "https://okta.example/v1/logout?id_token_hint={ID_TOKEN}", "id": "{ID_TOKEN}x"}}',
        '{"access_token": "an-opaque-one-of-some-length"}',
        "https://app.example/#access_token=opaque",
        f"set-cookie: session={REFRESH_TOKEN}; HttpOnly",
    ],
)
async def test_a_token_is_caught(where: str, text: str) -> None:
    with pytest.raises(AssertionError):
        await LeakWatch("http://localhost", texts=[(where, text)]).assert_no_token(KNOWN)


@pytest.mark.parametrize("where", ["body of /auth/logout", "header of /auth/logout", "what scripts can reach"])
async def test_an_id_token_is_caught_where_a_script_can_read_it_also_in_a_sign_out_url(where: str) -> None:
    for text in (LOGOUT, f'{{"end_session_url": "{LOGOUT}"}}'):
        with pytest.raises(AssertionError):
            await LeakWatch("http://localhost", texts=[(where, text)]).assert_no_token(KNOWN)


async def test_an_authorization_header_that_the_browser_sends_is_caught() -> None:
    with pytest.raises(AssertionError):
        await LeakWatch("http://localhost", authorization_sent=["http://localhost/api"]).assert_no_token(KNOWN)


async def test_what_is_no_token_passes() -> None:
    texts = [
        ("URL", LOGOUT),
        ("header of /auth/logout/provider", f"location: {LOGOUT}"),
        ("body", '{"refresh_token": "1a2b3c4d", "sealed": "AAECAwQFBgcICQoLDA0ODw"}'),
    ]
    await LeakWatch("http://localhost", texts=texts).assert_no_token(KNOWN)


async def test_a_watch_that_knows_no_token_says_so() -> None:
    with pytest.raises(AssertionError, match="catch nothing"):
        await LeakWatch("http://localhost").assert_no_token(set())
