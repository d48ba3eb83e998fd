"""Signing out at the provider, revoking tokens, asking about them, and turning keys."""

import pytest

from tests.unit.demo.simulator.application import Application, returned

HOME = "http://127.0.0.1:8080/"


async def test_logout_ends_the_browsers_session_and_no_token(app: Application) -> None:
    body = await app.tokens()
    stolen = {"Cookie": f"sid={app.browser.cookies['sid']}"}
    parameters = {"id_token_hint": body["id_token"], "post_logout_redirect_uri": HOME, "state": "bye"}
    answer = await app.browser.get(f"{app.endpoints}/logout", params=parameters)
    assert (answer.status_code, answer.headers["location"]) == (302, f"{HOME}?state=bye")
    assert "sid" not in app.browser.cookies
    again = await app.browser.get(app.authorization_url(prompt="none"), headers=stolen)
    assert returned(again)["error"] == "login_required", "the session is gone, not only its cookie"
    assert (await app.refresh(body["refresh_token"])).status_code == 200


async def test_logout_takes_a_form_post_and_an_expired_id_token(app: Application) -> None:
    body = await app.tokens()
    app.okta.control.advance(100_000)
    form = {"id_token_hint": body["id_token"], "post_logout_redirect_uri": HOME}
    answer = await app.browser.post(f"{app.endpoints}/logout", data=form)
    assert answer.headers["location"] == HOME


async def test_logout_without_a_return_address_ends_on_the_providers_page(app: Application) -> None:
    body = await app.tokens()
    answer = await app.browser.get(f"{app.endpoints}/logout", params={"id_token_hint": body["id_token"]})
    assert (answer.status_code, "Signed out" in answer.text) == (200, True)


@pytest.mark.parametrize("target", ["http://127.0.0.1:8080", "http://evil.example/", f"{HOME}?a=1"])
async def test_logout_to_an_unregistered_address_is_refused_and_recorded(app: Application, target: str) -> None:
    body = await app.tokens()
    parameters = {"id_token_hint": body["id_token"], "post_logout_redirect_uri": target}
    answer = await app.browser.get(f"{app.endpoints}/logout", params=parameters)
    assert answer.status_code == 400
    assert [e.facts["rule"] for e in app.okta.control.violations] == ["unregistered_post_logout_redirect_uri"]
    assert "code" in returned(await app.browser.get(app.authorization_url(prompt="none")))


async def test_logout_needs_an_id_token_of_this_session(app: Application) -> None:
    body = await app.tokens()
    other = app.okta.control.sign_in("bob@example.com")
    for hint in ("", "garbage", f"{body['id_token'][:-4]}AAAA", body["refresh_token"], other["id_token"]):
        parameters = {"id_token_hint": hint, "post_logout_redirect_uri": HOME}
        assert (await app.browser.get(f"{app.endpoints}/logout", params=parameters)).status_code == 400


async def test_revoking_the_refresh_token_takes_the_access_token_along(app: Application) -> None:
    body = await app.tokens()
    auth = (app.client_id, app.secret)
    revoked = await app.backend.post(f"{app.endpoints}/revoke", data={"token": body["refresh_token"]}, auth=auth)
    assert revoked.status_code == 200
    assert await active(app, body["access_token"]) is False
    assert await active(app, body["refresh_token"]) is False
    assert (await app.refresh(body["refresh_token"])).json()["error"] == "invalid_grant"
    assert app.okta.control.reuse_alarms == 0


async def test_revoking_the_access_token_leaves_the_refresh_token(app: Application) -> None:
    body = await app.tokens()
    auth = (app.client_id, app.secret)
    await app.backend.post(f"{app.endpoints}/revoke", data={"token": body["access_token"]}, auth=auth)
    assert await active(app, body["access_token"]) is False
    assert await active(app, body["refresh_token"]) is True


async def test_revoking_something_unknown_is_200_and_without_credentials_401(app: Application) -> None:
    auth = (app.client_id, app.secret)
    assert (await app.backend.post(f"{app.endpoints}/revoke", data={"token": "x"}, auth=auth)).status_code == 200
    assert (await app.backend.post(f"{app.endpoints}/revoke", data={"token": "x"})).status_code == 401


async def active(app: Application, token: str) -> bool:
    auth = (app.client_id, app.secret)
    answer = await app.backend.post(f"{app.endpoints}/introspect", data={"token": token}, auth=auth)
    return bool(answer.json()["active"])


async def test_userinfo_wants_a_live_access_token(app: Application) -> None:
    answer = await app.backend.get(f"{app.endpoints}/userinfo")
    assert answer.status_code == 401
    assert 'error="invalid_token"' in answer.headers["www-authenticate"]
    body = await app.tokens()
    app.okta.control.advance(3600)
    bearer = {"Authorization": f"Bearer {body['access_token']}"}
    assert (await app.backend.get(f"{app.endpoints}/userinfo", headers=bearer)).status_code == 401


async def test_both_servers_describe_themselves(app: Application) -> None:
    for issuer in (app.okta.base_url, app.okta.issuer):
        document = (await app.backend.get(f"{issuer}/.well-known/openid-configuration")).json()
        assert document["issuer"] == issuer
        assert document["code_challenge_methods_supported"] == ["S256"]
        assert document["id_token_signing_alg_values_supported"] == ["RS256"]
        assert "form_post" in document["response_modes_supported"]
        assert "authorization_response_iss_parameter_supported" not in document
        for name in ("authorization", "token", "userinfo", "introspection", "revocation", "end_session"):
            assert document[f"{name}_endpoint"].startswith(f"{app.okta.base_url}/oauth2/")
        assert (await app.backend.get(document["jwks_uri"])).status_code == 200


async def test_an_unknown_server_is_a_management_style_404(app: Application) -> None:
    answer = await app.backend.get(f"{app.okta.base_url}/oauth2/nobody/.well-known/openid-configuration")
    assert (answer.status_code, answer.json()["errorCode"]) == (404, "E0000007")


async def test_the_next_key_is_published_before_it_signs_and_the_last_one_after(app: Application) -> None:
    async def published() -> set[str]:
        answer = await app.backend.get(f"{app.endpoints}/keys")
        assert answer.headers["cache-control"].startswith("max-age=")
        return {key["kid"] for key in answer.json()["keys"]}

    before = await published()
    first, second = app.okta.control.state()["signing_key"], app.okta.control.rotate_keys()
    assert {first, second} <= before
    assert {first, second} <= await published()
    third = app.okta.control.rotate_keys(emergency=True, forget_previous=True)
    assert third not in before
    assert second not in await published()
    body = await app.tokens()
    assert body["id_token"].split(".")[0] == app.okta.control.sign({}).split(".")[0]
