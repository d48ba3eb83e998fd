"""The nets of the leak watch catch what they are for; otherwise every other test of this folder would prove nothing."""

import hashlib

import pytest

from tests.journeys.browser.leak_watch import LeakWatch

REFRESH_TOKEN = "k3Jf0vQmZ1x8yWcT5rB7nLhDgSaPuEoI2q4X6C9-_tY"
KNOWN = {hashlib.sha256(REFRESH_TOKEN.encode()).hexdigest()[:8]}
ACCESS_TOKEN = "eyJhbGciOiJSUzI1NiJ9.eyJzY3AiOlsib3BlbmlkIl19.c2lnbmF0dXJl"
ID_TOKEN = "eyJhbGciOiJSUzI1NiJ9.eyJhdF9oYXNoIjoiaCJ9.c2lnbmF0dXJl"


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
async def test_a_token_is_caught(text: str) -> None:
    with pytest.raises(AssertionError):
        await LeakWatch("http://localhost", texts=[("somewhere", text)]).assert_no_token(KNOWN)


async def test_an_authorization_header_that_the_browser_sends_is_caught() -> None:
    with pytest.raises(AssertionError):
        await LeakWatch("http://localhost", authorization_sent=["http://localhost/api"]).assert_no_token(KNOWN)


async def test_what_is_no_token_passes() -> None:
    texts = [
        ("body", f'{{"end_session_url": "https://okta.example/v1/logout?id_token_hint={ID_TOKEN}&state=s"}}'),
        ("body", '{"refresh_token": "1a2b3c4d", "sealed": "AAECAwQFBgcICQoLDA0ODw"}'),
    ]
    await LeakWatch("http://localhost", texts=texts).assert_no_token(KNOWN)


async def test_a_watch_that_knows_no_token_says_so() -> None:
    with pytest.raises(AssertionError, match="catch nothing"):
        await LeakWatch("http://localhost").assert_no_token(set())
