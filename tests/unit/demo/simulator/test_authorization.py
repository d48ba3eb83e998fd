"""The authorization endpoint and the sign-in page, as a browser meets them."""

import json
from urllib.parse import parse_qsl, urlsplit

import pytest

from demo.simulator.browser_sessions import TRANSACTION_LIFETIME
from demo.simulator.signing_keys import b64url_decode
from demo.simulator.visitor import sign_in
from tests.unit.demo.simulator.application import CALLBACK, Application, returned


async def test_a_person_signs_in_and_comes_back_with_a_code_and_the_state(app: Application) -> None:
    url = app.authorization_url(state="abc-._,XYZ09")
    answer = await sign_in(app.browser, url, "alice@example.com")
    back = returned(answer)
    assert back["state"] == "abc-._,XYZ09"
    assert back["code"]
    assert "iss" not in back, "Okta does not document it"
    assert answer.headers["referrer-policy"] == "no-referrer"


async def test_the_second_time_the_provider_knows_the_browser(app: Application) -> None:
    await app.sign_in()
    answer = await app.browser.get(app.authorization_url(prompt="none"))
    assert "code" in returned(answer)


@pytest.mark.parametrize("login", ["bob@example.com", "ZOË@example.com"])
async def test_each_person_has_a_sub_of_their_own(app: Application, login: str) -> None:
    body = await app.tokens(login)
    assert body["id_token"]
    assert app.okta.control.state()["families"][0]["sub"] == app.okta.control.person(login).sub


async def test_a_wrong_password_shows_the_page_again_and_tells_no_more(app: Application) -> None:
    url = app.authorization_url()
    for login in ("alice@example.com", "nobody@example.com"):
        page = await sign_in(app.browser, url, login, password="wrong")
        assert page.status_code == 200
        assert "Unable to sign in" in page.text
    assert "sid" not in app.browser.cookies


async def test_the_login_hint_fills_the_username_and_is_escaped(app: Application) -> None:
    page = await app.browser.get(app.authorization_url(login_hint='"><script>alert(1)</script>'))
    assert "&quot;&gt;&lt;script&gt;" in page.text
    assert "<script>" not in page.text


async def test_the_request_may_come_as_a_post(app: Application) -> None:
    url = urlsplit(app.authorization_url())
    page = await app.browser.post(f"{app.endpoints}/authorize", data=dict(parse_qsl(url.query)))
    assert 'name="password"' in page.text


async def test_response_mode_form_post_posts_to_the_callback(app: Application) -> None:
    page = await sign_in(app.browser, app.authorization_url(response_mode="form_post", state="s1"))
    assert f'action="{CALLBACK}"' in page.text
    assert 'name="state" value="s1"' in page.text
    assert 'name="code"' in page.text


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"state": None}, "invalid_state"),
        ({"state": "with+plus="}, "invalid_state"),
        ({"response_type": "id_token"}, "unsupported_response_type"),
        ({"response_mode": "okta_post_message"}, "unsupported_response_mode"),
        ({"scope": "profile"}, "invalid_scope"),
        ({"scope": "openid okta.apps.manage"}, "invalid_scope"),
        ({"code_challenge": None}, "invalid_request"),
        ({"code_challenge_method": "plain"}, "invalid_request"),
        ({"code_challenge": "short"}, "invalid_request"),
        ({"prompt": "maybe"}, "invalid_request"),
        ({"prompt": "none", "max_age": "0"}, "invalid_request"),
        ({"max_age": "-1"}, "invalid_request"),
        ({"prompt": "none"}, "login_required"),
        ({"acr_values": "phr"}, "unmet_authentication_requirements"),
    ],
)
async def test_a_wrong_request_is_answered_at_the_redirect_uri(
    app: Application, changes: dict[str, str | None], error: str
) -> None:
    url = app.authorization_url(**({"state": "the-state"} | changes))
    back = returned(await app.browser.get(url))
    assert back["error"] == error
    assert back["error_description"]
    assert back.get("state") == (None if "state" in changes else "the-state"), "an illegal state is not echoed"


@pytest.mark.parametrize(
    "redirect_uri",
    [None, "", "http://evil.example/", f"{CALLBACK}/", f"{CALLBACK}?a=1", CALLBACK.upper(), f"{CALLBACK}#x"],
)
async def test_an_unregistered_redirect_uri_stays_on_a_400_page_and_is_recorded(
    app: Application, redirect_uri: str | None
) -> None:
    answer = await app.browser.get(app.authorization_url(redirect_uri=redirect_uri))
    assert answer.status_code == 400
    assert "location" not in answer.headers
    assert [event.facts["rule"] for event in app.okta.control.violations] == ["unregistered_redirect_uri"]


async def test_a_redirect_uri_can_be_registered_later(app: Application) -> None:
    later = "http://127.0.0.1:4321/authorization-code/callback"
    app.okta.control.register(redirect_uri=later)
    answer = await sign_in(app.browser, app.authorization_url(redirect_uri=later))
    assert answer.headers["location"].startswith(later + "?code=")
    assert app.okta.control.violations == []


async def test_an_unknown_client_stays_on_a_400_page(app: Application) -> None:
    assert (await app.browser.get(app.authorization_url(client_id="0oanobody"))).status_code == 400


async def test_a_repeated_parameter_stays_on_a_400_page(app: Application) -> None:
    assert (await app.browser.get(app.authorization_url() + "&state=again")).status_code == 400


async def test_who_is_not_assigned_gets_access_denied_at_the_application(app: Application) -> None:
    back = await app.sign_in("mallory@example.com")
    assert back["error"] == "access_denied"


async def test_prompt_login_asks_although_the_provider_knows_the_browser(app: Application) -> None:
    await app.sign_in()
    page = await app.browser.get(app.authorization_url(prompt="login"))
    assert 'name="password"' in page.text
    assert "alice@example.com" in page.text


async def test_max_age_asks_when_the_sign_in_is_older(app: Application) -> None:
    await app.sign_in()
    assert "code" in returned(await app.browser.get(app.authorization_url(max_age="60")))
    app.okta.control.advance(61)
    assert 'name="password"' in (await app.browser.get(app.authorization_url(max_age="60"))).text
    assert (
        returned(await app.browser.get(app.authorization_url(max_age="60", prompt="none")))["error"] == "login_required"
    )


async def test_a_step_up_asks_for_a_code_and_shows_in_acr_and_amr(app: Application) -> None:
    await app.sign_in()
    body = await app.tokens(acr_values="urn:okta:loa:2fa:any")
    claims = json.loads(b64url_decode(body["id_token"].split(".")[1]))
    assert (claims["acr"], claims["amr"]) == ("urn:okta:loa:2fa:any", ["mfa", "otp", "pwd"])
    assert "code" in returned(await app.browser.get(app.authorization_url(acr_values="urn:okta:loa:2fa:any")))
    wrong = await sign_in(
        app.browser, app.authorization_url(acr_values="urn:okta:loa:2fa:any", prompt="login"), code="12ab"
    )
    assert "six digits" in wrong.text


async def test_who_has_no_second_factor_cannot_step_up(app: Application) -> None:
    back = await app.sign_in("bob@example.com", acr_values="urn:okta:loa:2fa:any")
    assert back["error"] == "unmet_authentication_requirements"


async def test_an_unknown_level_is_ignored(app: Application) -> None:
    assert "code" in await app.sign_in(acr_values="urn:example:gold")


async def test_a_sign_in_page_left_open_for_too_long_has_expired(app: Application) -> None:
    page = await app.browser.get(app.authorization_url())
    app.okta.control.advance(TRANSACTION_LIFETIME)
    transaction = page.text.split('name="transaction" value="')[1].split('"')[0]
    late = await app.browser.post(
        f"{app.okta.base_url}/signin",
        data={"transaction": transaction, "username": "alice@example.com", "password": "Simulated-1"},
    )
    assert late.status_code == 400


async def test_a_secret_in_the_url_is_recorded(app: Application) -> None:
    await app.browser.get(app.authorization_url(client_secret="oops"))
    assert [event.facts["rule"] for event in app.okta.control.violations] == ["secret_in_url"]


async def test_a_request_without_pkce_is_recorded(app: Application) -> None:
    await app.browser.get(app.authorization_url(code_challenge=None, code_challenge_method=None))
    assert [event.facts["rule"] for event in app.okta.control.violations] == ["missing_code_challenge"]
