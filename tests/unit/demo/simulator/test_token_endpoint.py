"""Codes and refresh tokens become tokens, over real sockets, with Okta's own answers where they do not."""

import json
import time
from dataclasses import replace
from typing import Any

import pytest

from demo.simulator.config import SimulatorConfig
from demo.simulator.grants import Replay, RotationPolicy
from demo.simulator.signing_keys import b64url_decode
from tests.unit.demo.simulator.application import Application, challenge
from tests.unit.demo.simulator.conftest import Begin


def claims(token: str) -> dict[str, Any]:
    read: dict[str, Any] = json.loads(b64url_decode(token.split(".")[1]))
    return read


async def test_a_sign_in_ends_with_tokens_shaped_as_at_okta(app: Application) -> None:
    body = await app.tokens()
    assert body["token_type"] == "Bearer"
    assert 3590 <= body["expires_in"] <= 3600
    assert set(body["scope"].split()) == {"openid", "profile", "email", "offline_access"}
    id_token, access = claims(body["id_token"]), claims(body["access_token"])
    assert id_token["iss"] == app.okta.issuer
    assert id_token["aud"] == app.client_id
    assert id_token["nonce"] == "n-0S6_WzA2Mj"
    assert id_token["jti"].startswith("ID.")
    assert id_token["given_name"] == "Alice"
    assert id_token["sub"].startswith("00u")
    assert id_token["ver"] == 1
    assert {"at_hash", "auth_time", "amr", "idp", "sid", "exp", "iat"} <= id_token.keys()
    assert access["sub"] == "alice@example.com"
    assert access["uid"] == id_token["sub"]
    assert access["aud"] == "api://default"
    assert access["jti"].startswith("AT.")
    assert access["cid"] == app.client_id


async def test_the_org_server_hands_out_a_thin_id_token_and_the_rest_at_userinfo(app: Application) -> None:
    app.use_org_server()
    body = await app.tokens()
    id_token = claims(body["id_token"])
    assert id_token["iss"] == app.okta.base_url
    assert {"name", "preferred_username", "email"} <= id_token.keys()
    assert not {"given_name", "locale", "email_verified"} & id_token.keys()
    bearer = {"Authorization": f"Bearer {body['access_token']}"}
    userinfo = (await app.backend.get(f"{app.endpoints}/userinfo", headers=bearer)).json()
    assert userinfo["sub"] == id_token["sub"]
    assert userinfo["given_name"] == "Alice"


async def test_the_org_servers_access_token_is_signed_by_a_key_nobody_publishes(app: Application) -> None:
    app.use_org_server()
    body = await app.tokens()
    published = (await app.backend.get(f"{app.endpoints}/keys")).json()["keys"]
    header = json.loads(b64url_decode(body["access_token"].split(".")[0]))
    assert header["kid"] not in [key["kid"] for key in published]


async def test_a_code_works_once(app: Application) -> None:
    code = (await app.sign_in())["code"]
    assert (await app.exchange(code)).status_code == 200
    again = await app.exchange(code)
    assert (again.status_code, again.json()["error"]) == (400, "invalid_grant")


async def test_a_code_lives_300_seconds(app: Application) -> None:
    code = (await app.sign_in())["code"]
    app.okta.control.advance(300)
    assert (await app.exchange(code)).json()["error"] == "invalid_grant"


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"redirect_uri": "http://127.0.0.1:8080/elsewhere"}, "invalid_grant"),
        ({"code_verifier": "w" * 64}, "invalid_grant"),
        ({"code": ""}, "invalid_request"),
        ({"grant_type": "password"}, "unsupported_grant_type"),
    ],
)
async def test_a_wrong_code_exchange_is_refused_by_name(app: Application, changes: dict[str, str], error: str) -> None:
    answer = await app.exchange((await app.sign_in())["code"], **changes)
    assert (answer.status_code, answer.json()["error"]) == (400, error)
    assert answer.json()["error_description"]


@pytest.mark.parametrize("length", [42, 129])
async def test_a_verifier_of_the_wrong_length_is_refused_although_it_matches(app: Application, length: int) -> None:
    verifier = "v" * length
    code = (await app.sign_in(code_challenge=challenge(verifier)))["code"]
    assert (await app.exchange(code, code_verifier=verifier)).json()["error"] == "invalid_grant"


async def test_a_missing_verifier_is_refused_and_recorded(app: Application) -> None:
    code = (await app.sign_in())["code"]
    form = {
        "grant_type": "authorization_code",
        "code": code,
        "redirect_uri": "http://127.0.0.1:8080/authorization-code/callback",
    }
    answer = await app.token(**form)
    assert answer.json()["error"] == "invalid_request"
    assert [event.facts["rule"] for event in app.okta.control.violations] == ["missing_code_verifier"]


async def test_a_code_of_the_custom_server_is_no_good_at_the_org_server(app: Application) -> None:
    code = (await app.sign_in())["code"]
    app.use_org_server()
    assert (await app.exchange(code)).json()["error"] == "invalid_request"


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


async def test_an_alarm_of_a_client_known_to_send_late_is_marked_as_expected(app: Application) -> None:
    first = await app.tokens()
    await app.refresh(first["refresh_token"])
    app.okta.control.settings(grace=0, expect_late=True)
    await app.refresh(first["refresh_token"])
    assert [event.facts["expected"] for event in app.okta.control.events() if event.kind == "reuse_alarm"] == [True]


async def test_the_rotation_policy_changes_at_run_time(app: Application) -> None:
    first = await app.tokens()
    app.okta.control.settings(mode="persistent")
    kept = (await app.refresh(first["refresh_token"])).json()
    assert kept["refresh_token"] == first["refresh_token"]
    app.okta.control.settings(mode="rotate", behaviour="sibling", answer_id_token=False, access_token_lifetime=700)
    second = (await app.refresh(first["refresh_token"])).json()
    third = (await app.refresh(first["refresh_token"])).json()
    assert len({first["refresh_token"], second["refresh_token"], third["refresh_token"]}) == 3
    assert "id_token" not in third
    assert 690 <= third["expires_in"] <= 700


async def test_a_provider_may_answer_without_a_refresh_token(begin: Begin) -> None:
    async with begin(SimulatorConfig(rotation=RotationPolicy(answer_refresh_token=False))) as app:
        first = await app.tokens()
        assert "refresh_token" not in (await app.refresh(first["refresh_token"])).json()
        assert (await app.refresh(first["refresh_token"])).status_code == 200


async def test_the_configured_replay_is_what_happens(begin: Begin) -> None:
    async with begin(SimulatorConfig(rotation=RotationPolicy(replay=Replay.OLD_TOKEN))) as app:
        first = await app.tokens()
        await app.refresh(first["refresh_token"])
        assert (await app.refresh(first["refresh_token"])).json()["refresh_token"] == first["refresh_token"]


async def test_scopes_beyond_the_grant_are_access_denied_and_fewer_are_granted(app: Application) -> None:
    first = await app.tokens()
    beyond = await app.refresh(first["refresh_token"], scope="openid groups")
    assert (beyond.status_code, beyond.json()["error"]) == (400, "access_denied")
    fewer = await app.refresh(first["refresh_token"], scope="openid offline_access")
    assert set(fewer.json()["scope"].split()) == {"openid", "offline_access"}


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


async def test_a_custom_server_without_a_policy_is_401_access_denied(app: Application) -> None:
    code = (await app.sign_in())["code"]
    app.okta.control.settings(policy_exists=False)
    answer = await app.exchange(code)
    assert (answer.status_code, answer.json()["error"]) == (401, "access_denied")


async def test_credentials_in_the_query_and_headers_of_a_browser_are_refused_and_recorded(app: Application) -> None:
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


async def test_a_repeated_parameter_is_refused(app: Application) -> None:
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    answer = await app.backend.post(
        f"{app.endpoints}/token",
        content="grant_type=refresh_token&refresh_token=a&refresh_token=b",
        headers=headers,
        auth=(app.client_id, app.secret),
    )
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_request")


async def test_no_event_and_no_state_tells_a_token_a_code_or_a_secret(app: Application) -> None:
    code = (await app.sign_in())["code"]
    first = (await app.exchange(code)).json()
    second = (await app.refresh(first["refresh_token"])).json()
    told = repr([event.as_json() for event in app.okta.control.events()]) + repr(app.okta.control.state())
    for secret in (
        code,
        app.secret,
        *(body[name] for body in (first, second) for name in ("refresh_token", "access_token", "id_token")),
    ):
        assert secret not in told


async def test_a_test_may_skip_the_browser(app: Application) -> None:
    body = app.okta.control.sign_in("bob@example.com", nonce="n")
    assert claims(body["id_token"])["nonce"] == "n"
    assert (await app.refresh(body["refresh_token"])).status_code == 200


async def test_an_id_token_can_be_made_wrong_on_command(app: Application) -> None:
    app.okta.control.settings(id_token_claims={"aud": "somebody-else", "nonce": None})
    body = await app.tokens()
    assert claims(body["id_token"])["aud"] == "somebody-else"
    assert "nonce" not in claims(body["id_token"])


async def test_the_absolute_lifetime_ends_refreshing_without_an_alarm(begin: Begin) -> None:
    policy = replace(RotationPolicy(), refresh_token_lifetime=600)
    async with begin(SimulatorConfig(rotation=policy)) as app:
        first = await app.tokens()
        app.okta.control.advance(600)
        assert (await app.refresh(first["refresh_token"])).json()["error"] == "invalid_grant"
        assert app.okta.control.reuse_alarms == 0
        assert app.okta.control.state()["now"] > time.time() + 590
