"""Codes and refresh tokens become tokens, over real sockets, with Okta's own answers where they do not."""

import json
from typing import Any

from demo.simulator.config import SimulatorConfig
from demo.simulator.grants import Replay, RotationPolicy
from demo.simulator.signing_keys import b64url_decode
from tests.unit.demo.simulator.application import CALLBACK, Application, application, challenge


def claims(token: str) -> dict[str, Any]:
    read: dict[str, Any] = json.loads(b64url_decode(token.split(".")[1]))
    return read


async def test_tokens_are_shaped_as_at_okta(app: Application) -> None:
    body = await app.tokens()
    assert (body["token_type"], 3500 <= body["expires_in"] <= 3600) == ("Bearer", True)
    assert set(body["scope"].split()) == {"openid", "profile", "email", "offline_access"}
    id_token, access = claims(body["id_token"]), claims(body["access_token"])
    assert (id_token["iss"], id_token["aud"]) == (app.okta.issuer, app.client_id)
    assert (id_token["nonce"], id_token["ver"], id_token["given_name"]) == ("n-0S6_WzA2Mj", 1, "Alice")
    assert (id_token["jti"][:3], id_token["sub"][:3]) == ("ID.", "00u")
    assert {"at_hash", "auth_time", "amr", "idp", "sid", "exp", "iat"} <= id_token.keys()
    assert (access["sub"], access["uid"], access["cid"]) == ("alice@example.com", id_token["sub"], app.client_id)
    assert (access["aud"], access["jti"][:3]) == ("api://default", "AT.")


async def test_a_code_is_exchanged_once_within_300_seconds_by_whom_it_was_issued_to(app: Application) -> None:
    code = (await app.sign_in())["code"]
    assert (await app.exchange(code)).status_code == 200
    again = await app.exchange(code)
    assert (again.status_code, again.json()["error"]) == (400, "invalid_grant")
    cases = [
        ({"redirect_uri": "http://127.0.0.1:8080/elsewhere"}, "invalid_grant"),
        ({"code_verifier": "w" * 64}, "invalid_grant"),
        ({"code": ""}, "invalid_request"),
        ({"grant_type": "password"}, "unsupported_grant_type"),
    ]
    for changes, error in cases:
        answer = await app.exchange((await app.sign_in())["code"], **changes)
        assert (answer.status_code, answer.json()["error"]) == (400, error), changes
    code = (await app.sign_in())["code"]
    without_verifier = {"grant_type": "authorization_code", "code": code, "redirect_uri": CALLBACK}
    assert (await app.token(**without_verifier)).json()["error"] == "invalid_request"
    assert [event.facts["rule"] for event in app.okta.control.violations] == ["missing_code_verifier"]
    verifier = "v" * 42
    code = (await app.sign_in(code_challenge=challenge(verifier)))["code"]
    assert (await app.exchange(code, code_verifier=verifier)).json()["error"] == "invalid_grant", "too short"
    code = (await app.sign_in())["code"]
    app.okta.control.advance(300)
    assert (await app.exchange(code)).json()["error"] == "invalid_grant"
    code = (await app.sign_in())["code"]
    app.okta.control.settings(policy_exists=False)
    refused = await app.exchange(code)
    assert (refused.status_code, refused.json()["error"]) == (401, "access_denied")


async def test_a_refresh_rotates_and_a_resend_inside_the_grace_gets_the_same_successor(app: Application) -> None:
    first = await app.tokens()
    second = (await app.refresh(first["refresh_token"])).json()
    assert second["refresh_token"] != first["refresh_token"]
    assert claims(second["id_token"])["auth_time"] == claims(first["id_token"])["auth_time"]
    assert "nonce" not in claims(second["id_token"])
    again = (await app.refresh(first["refresh_token"])).json()
    assert again["refresh_token"] == second["refresh_token"]
    state = app.okta.control.state()
    assert (state["refresh_requests"], state["token_requests"], state["reuse_alarms"]) == (2, 3, 0)
    assert (state["families"][0]["rotation_count"], state["families"][0]["resends"]) == (1, 1)


async def test_reuse_after_the_grace_is_counted_and_takes_the_access_token_along(app: Application) -> None:
    first = await app.tokens()
    second = (await app.refresh(first["refresh_token"])).json()
    app.okta.control.advance(31)
    reused = await app.refresh(first["refresh_token"])
    assert (reused.status_code, reused.json()["error"]) == (400, "invalid_grant")
    assert app.okta.control.reuse_alarms == 1
    assert [event.facts["expected"] for event in app.okta.control.events() if event.kind == "reuse_alarm"] == [False]
    bearer = {"Authorization": f"Bearer {second['access_token']}"}
    assert (await app.backend.get(f"{app.endpoints}/userinfo", headers=bearer)).status_code == 401
    assert (await app.refresh(second["refresh_token"])).json()["error"] == "invalid_grant"


async def test_an_unassigned_person_is_access_denied_and_a_revoked_one_invalid_grant(app: Application) -> None:
    first = await app.tokens()
    app.okta.control.unassign("alice@example.com")
    denied = await app.refresh(first["refresh_token"])
    assert (denied.status_code, denied.json()["error"]) == (400, "access_denied")
    app.okta.control.assign("alice@example.com")
    app.okta.control.revoke_user("alice@example.com")
    revoked = await app.refresh(first["refresh_token"])
    assert (revoked.status_code, revoked.json()["error"]) == (400, "invalid_grant")
    assert app.okta.control.reuse_alarms == 0


async def test_credentials_in_a_query_and_headers_of_a_browser_are_refused_and_recorded(app: Application) -> None:
    form = {"grant_type": "refresh_token", "refresh_token": "x"}
    auth = (app.client_id, app.secret)
    url = f"{app.endpoints}/token"
    in_query = await app.backend.post(url, params={"client_secret": app.secret}, data=form, auth=auth)
    assert (in_query.status_code, in_query.json()["error"]) == (400, "invalid_request")
    headers = {"Origin": "http://127.0.0.1:8080", "Cookie": "a=b"}
    as_browser = await app.backend.post(url, data=form, auth=auth, headers=headers)
    assert as_browser.status_code == 400
    rules = [event.facts["rule"] for event in app.okta.control.violations]
    assert rules == ["secret_in_url", "cookie_at_token_endpoint", "origin_at_token_endpoint"]


async def test_events_and_state_contain_no_token_code_or_secret(app: Application) -> None:
    code = (await app.sign_in())["code"]
    first = (await app.exchange(code)).json()
    second = (await app.refresh(first["refresh_token"])).json()
    shown = repr([event.as_json() for event in app.okta.control.events()]) + repr(app.okta.control.state())
    for secret in (
        code,
        app.secret,
        *(body[name] for body in (first, second) for name in ("refresh_token", "access_token", "id_token")),
    ):
        assert secret not in shown


async def test_the_rotation_policy_is_configured_and_changes_at_run_time(app: Application) -> None:
    first = await app.tokens()
    app.okta.control.settings(mode="persistent")
    kept = (await app.refresh(first["refresh_token"])).json()
    assert kept["refresh_token"] == first["refresh_token"]
    app.okta.control.settings(mode="rotate", behaviour="sibling", answer_id_token=False, access_token_lifetime=700)
    second = (await app.refresh(first["refresh_token"])).json()
    third = (await app.refresh(first["refresh_token"])).json()
    assert len({first["refresh_token"], second["refresh_token"], third["refresh_token"]}) == 3
    assert "id_token" not in third
    assert 600 <= third["expires_in"] <= 700
    policy = RotationPolicy(replay=Replay.OLD_TOKEN, answer_refresh_token=False)
    async with application(SimulatorConfig(rotation=policy)) as other:
        first = await other.tokens()
        assert "refresh_token" not in (await other.refresh(first["refresh_token"])).json()
        assert (await other.refresh(first["refresh_token"])).status_code == 200


async def test_revocation_introspection_and_userinfo(app: Application) -> None:
    async def post(endpoint: str, token: str) -> Any:
        auth = (app.client_id, app.secret)
        return await app.backend.post(f"{app.endpoints}/{endpoint}", data={"token": token}, auth=auth)

    async def active(token: str) -> bool:
        return bool((await post("introspect", token)).json()["active"])

    body = await app.tokens()
    assert (await post("revoke", body["access_token"])).status_code == 200
    assert [await active(body[name]) for name in ("access_token", "refresh_token")] == [False, True]
    bearer = {"Authorization": f"Bearer {body['access_token']}"}
    refused = await app.backend.get(f"{app.endpoints}/userinfo", headers=bearer)
    assert (refused.status_code, 'error="invalid_token"' in refused.headers["www-authenticate"]) == (401, True)
    body = (await app.refresh(body["refresh_token"])).json()
    await post("revoke", body["refresh_token"])
    assert [await active(body[name]) for name in ("access_token", "refresh_token")] == [False, False]
    assert (await app.refresh(body["refresh_token"])).json()["error"] == "invalid_grant"
    assert (await post("revoke", "unknown")).status_code == 200
    assert (await app.backend.post(f"{app.endpoints}/revoke", data={"token": "x"})).status_code == 401
    assert app.okta.control.reuse_alarms == 0
