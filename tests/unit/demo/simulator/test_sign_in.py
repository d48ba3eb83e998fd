"""The authorization endpoint, the sign-in page, pushed requests, and the sign-out."""

import json
from urllib.parse import parse_qsl, urlencode, urlsplit

import httpx

from demo.simulator.browser_sessions import TRANSACTION_LIFETIME
from demo.simulator.config import SimulatorConfig
from demo.simulator.signing_keys import b64url_decode
from demo.simulator.visitor import sign_in
from tests.unit.demo.simulator.application import CALLBACK, Application, application, returned

HOME = "http://127.0.0.1:8080/"


def rules(app: Application) -> list[object]:
    return [event.facts["rule"] for event in app.okta.control.violations]


async def test_a_sign_in_comes_back_with_a_code_and_the_state_and_is_remembered(app: Application) -> None:
    answer = await sign_in(app.browser, app.authorization_url(state="abc-._,XYZ09"), "alice@example.com")
    back = returned(answer)
    assert (back["state"], bool(back["code"]), "iss" in back) == ("abc-._,XYZ09", True, False)
    assert "code" in returned(await app.browser.get(app.authorization_url(prompt="none")))
    page = await app.browser.get(app.authorization_url(prompt="login"))
    assert 'name="password"' in page.text
    app.okta.control.advance(61)
    assert 'name="password"' in (await app.browser.get(app.authorization_url(max_age="60"))).text
    assert returned(await app.browser.get(app.authorization_url(max_age="60", prompt="none")))["error"] == (
        "login_required"
    )


async def test_form_post_wrong_passwords_and_expired_pages(app: Application) -> None:
    url = app.authorization_url(response_mode="form_post", state="s1")
    page = await sign_in(app.browser, url, "alice@example.com", password="wrong")
    assert (page.status_code, "Unable to sign in" in page.text) == (200, True)
    page = await sign_in(app.browser, url)
    for part in (f'action="{CALLBACK}"', 'name="state" value="s1"', 'name="code"'):
        assert part in page.text
    page = await app.browser.get(app.authorization_url(prompt="login", login_hint='"><script>alert(1)</script>'))
    assert "<script>" not in page.text
    app.okta.control.advance(TRANSACTION_LIFETIME)
    transaction = page.text.split('name="transaction" value="')[1].split('"')[0]
    form = {"transaction": transaction, "username": "alice@example.com", "password": "Simulated-1"}
    assert (await app.browser.post(f"{app.okta.base_url}/signin", data=form)).status_code == 400


async def test_a_wrong_request_is_answered_at_the_redirect_uri(app: Application) -> None:
    cases: list[tuple[dict[str, str | None], str]] = [
        ({"state": None}, "invalid_state"),
        ({"response_type": "id_token"}, "unsupported_response_type"),
        ({"response_mode": "okta_post_message"}, "unsupported_response_mode"),
        ({"scope": "profile"}, "invalid_scope"),
        ({"scope": "openid okta.apps.manage"}, "invalid_scope"),
        ({"code_challenge": None}, "invalid_request"),
        ({"code_challenge_method": "plain"}, "invalid_request"),
        ({"prompt": "maybe"}, "invalid_request"),
        ({"max_age": "-1"}, "invalid_request"),
        ({"prompt": "none"}, "login_required"),
        ({"acr_values": "phr"}, "unmet_authentication_requirements"),
    ]
    for changes, error in cases:
        back = returned(await app.browser.get(app.authorization_url(**({"state": "the-state"} | changes))))
        assert back["error"] == error, changes
        assert back.get("state") == (None if "state" in changes else "the-state")


async def test_what_may_not_be_redirected_stays_on_a_400_page_and_is_recorded(app: Application) -> None:
    uris = [None, "", "http://evil.example/", f"{CALLBACK}/", f"{CALLBACK}?a=1", f"{CALLBACK}#x"]
    for redirect_uri in uris:
        answer = await app.browser.get(app.authorization_url(redirect_uri=redirect_uri))
        assert (answer.status_code, "location" in answer.headers) == (400, False)
    assert rules(app) == ["unregistered_redirect_uri"] * len(uris)
    for url in (app.authorization_url(client_id="0oanobody"), app.authorization_url() + "&state=again"):
        assert (await app.browser.get(url)).status_code == 400
    await app.browser.get(app.authorization_url(client_secret="oops"))
    await app.browser.get(app.authorization_url(code_challenge=None, code_challenge_method=None))
    assert rules(app)[len(uris) :] == ["secret_in_url", "missing_code_challenge"]


async def test_assignment_and_step_up(app: Application) -> None:
    assert (await app.sign_in("mallory@example.com"))["error"] == "access_denied"
    level = "urn:okta:loa:2fa:any"
    assert (await app.sign_in("bob@example.com", acr_values=level))["error"] == "unmet_authentication_requirements"
    app.browser.cookies.clear()
    body = await app.tokens(acr_values=level)
    claims = json.loads(b64url_decode(body["id_token"].split(".")[1]))
    assert (claims["acr"], claims["amr"]) == (level, ["mfa", "otp", "pwd"])


# --- pushed requests


async def push(app: Application, /, **changes: str | None) -> httpx.Response:
    form = dict(parse_qsl(urlsplit(app.authorization_url(**changes)).query))
    return await app.backend.post(f"{app.endpoints}/par", data=form, auth=(app.client_id, app.secret))


def pushed_url(app: Application, request_uri: str, **more: str) -> str:
    return f"{app.endpoints}/authorize?{urlencode({'client_id': app.client_id, 'request_uri': request_uri, **more})}"


async def test_a_pushed_request_is_used_once_within_its_lifetime(app: Application) -> None:
    assert (await push(app)).status_code == 404
    async with application(SimulatorConfig(pushed_requests=True, pushed_status=201)) as app:
        document = (await app.backend.get(f"{app.okta.issuer}/.well-known/openid-configuration")).json()
        assert document["pushed_authorization_request_endpoint"] == f"{app.endpoints}/par"
        answer = await push(app, state="pushed")
        assert answer.status_code == 201
        url = pushed_url(app, answer.json()["request_uri"], state="other", redirect_uri="https://evil.example/")
        back = returned(await sign_in(app.browser, url, "alice@example.com"))
        assert back["state"] == "pushed"
        assert (await app.exchange(back["code"])).status_code == 200
        assert (await app.browser.get(url)).status_code == 400
        answer = await push(app)
        app.okta.control.advance(answer.json()["expires_in"])
        assert (await app.browser.get(pushed_url(app, answer.json()["request_uri"]))).status_code == 400
        refused = await push(app, redirect_uri="https://evil.example/")
        assert (refused.status_code, refused.json()["error"]) == (400, "invalid_request")
        app.secret = "wrong"
        assert (await push(app)).json()["error"] == "invalid_client"


# --- sign-out


async def test_logout_ends_the_browsers_session_and_no_token(app: Application) -> None:
    body = await app.tokens()
    stolen = {"Cookie": f"sid={app.browser.cookies['sid']}"}
    app.okta.control.advance(100)
    parameters = {"id_token_hint": body["id_token"], "post_logout_redirect_uri": HOME, "state": "bye"}
    answer = await app.browser.get(f"{app.endpoints}/logout", params=parameters)
    assert (answer.status_code, answer.headers["location"]) == (302, f"{HOME}?state=bye")
    assert "sid" not in app.browser.cookies
    again = await app.browser.get(app.authorization_url(prompt="none"), headers=stolen)
    assert returned(again)["error"] == "login_required"
    assert (await app.refresh(body["refresh_token"])).status_code == 200


async def test_logout_needs_a_registered_address_and_an_id_token_of_this_session(app: Application) -> None:
    body = await app.tokens()
    other = app.okta.control.sign_in("bob@example.com")["id_token"]
    for target, hint in [
        ("http://evil.example/", body["id_token"]),
        (f"{HOME}?a=1", body["id_token"]),
        (HOME, ""),
        (HOME, "garbage"),
        (HOME, f"{body['id_token'][:-4]}AAAA"),
        (HOME, other),
    ]:
        parameters = {"id_token_hint": hint, "post_logout_redirect_uri": target}
        assert (await app.browser.get(f"{app.endpoints}/logout", params=parameters)).status_code == 400
    assert rules(app) == ["unregistered_post_logout_redirect_uri"] * 2
    assert "code" in returned(await app.browser.get(app.authorization_url(prompt="none")))
