"""The simulated transmitter: its streams belong to clients, and its tokens have Okta's form."""

import base64
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest

from demo.simulator.config import Client, SimulatorConfig
from demo.simulator.security_events import CREDENTIAL_CHANGE, PUSH, SESSION_REVOKED
from tests.harness.plain_http import plain_http
from tests.harness.raw_http import HttpServer, Reader, Request, Writer, listening
from tests.harness.waiting import until
from tests.unit.demo.simulator.application import application

STREAM = "/api/v1/ssf/stream"
SERVICE = Client(
    "0oaservice",
    ("s" * 40,),
    grant_types=frozenset({"client_credentials"}),
    granted_scopes=frozenset({"ssf.read", "ssf.manage"}),
)


@asynccontextmanager
async def receiver(*statuses: int) -> AsyncIterator[HttpServer]:
    """Answers with these statuses in turn, then with 202."""
    server, waiting = HttpServer(), list(statuses)

    async def respond(request: Request, reader: Reader, writer: Writer) -> bool:
        writer.write(f"HTTP/1.1 {waiting.pop(0) if waiting else 202} x\r\ncontent-length: 0\r\n\r\n".encode())
        return True

    async with listening(server, respond):
        yield server


@asynccontextmanager
async def with_streams() -> AsyncIterator[httpx.AsyncClient]:
    async with application(SimulatorConfig(service_apps=(SERVICE,), control_port=0)) as app:
        form = {"grant_type": "client_credentials", "scope": "ssf.read ssf.manage"}
        app.client_id, app.secret = SERVICE.client_id, SERVICE.secrets[0]
        app.use_org_server()
        token = (await app.token(**form)).json()["access_token"]
        async with plain_http(base_url=app.okta.base_url, headers={"authorization": f"Bearer {token}"}) as api:
            yield api


def requested(url: str, *events: str) -> dict[str, Any]:
    delivery = {"method": PUSH, "endpoint_url": url, "authorization_header": "Bearer canary-0123456789"}
    return {"delivery": delivery, "events_requested": list(events), "format": "iss_sub"}


def claims_of(request: Request) -> dict[str, Any]:
    payload = request.body.split(b".")[1]
    content: dict[str, Any] = json.loads(base64.urlsafe_b64decode(payload + b"=" * (-len(payload) % 4)))
    return content


async def test_a_client_has_one_stream_and_can_verify_it() -> None:
    async with with_streams() as api, receiver(503) as server:
        assert (await api.get(STREAM)).json() == []
        body = requested(f"{server.url}/events", SESSION_REVOKED)
        made = (await api.post(STREAM, json=body)).json()
        assert (made["aud"], made["events_delivered"]) == (f"{server.url}/events", [SESSION_REVOKED])
        assert "authorization_header" not in made["delivery"]
        assert (await api.post(STREAM, json=body)).status_code == 409
        assert (await api.get(STREAM, params={"stream_id": made["stream_id"]})).json() == made
        assert (await api.get(STREAM, params={"stream_id": "another"})).status_code == 404
        status = await api.get(f"{STREAM}/status", params={"stream_id": made["stream_id"]})
        assert status.json()["status"] == "enabled"
        asked = {"stream_id": made["stream_id"], "state": "s-1"}
        assert (await api.post(f"{STREAM}/verification", json=asked)).status_code == 204
        await until(lambda: len(server.requests) == 2)
        first, repeated = server.requests
        assert first.body == repeated.body, "a delivery that failed is repeated as it was"
        assert first.headers["authorization"] == "Bearer canary-0123456789"
        claims = claims_of(first)
        assert claims["sub_id"] == {"format": "opaque", "id": made["stream_id"]}
        assert list(claims["events"].values()) == [{"state": "s-1"}]
        both = [SESSION_REVOKED, CREDENTIAL_CHANGE]
        changed = await api.patch(STREAM, json={"events_requested": both})
        assert changed.json()["events_requested"] == both
        assert (await api.delete(STREAM)).status_code == 204
        assert (await api.get(STREAM)).json() == []


async def test_an_api_token_or_another_scope_cannot_touch_streams() -> None:
    async with application(SimulatorConfig(api_token="t" * 20)) as app, plain_http(base_url=app.okta.base_url) as api:
        assert (await api.get(STREAM, headers={"authorization": f"SSWS {'t' * 20}"})).status_code == 403
        assert (await api.get(STREAM)).status_code == 401
        metadata = (await api.get("/.well-known/ssf-configuration")).json()
        assert metadata["issuer"] == app.okta.base_url
        assert metadata["delivery_methods_supported"][0] == PUSH


@pytest.mark.parametrize(
    ("event", "subject"), [("session-revoked", {"user"}), ("credential-change", {"format", "iss", "sub"})]
)
async def test_a_token_has_oktas_form(event: str, subject: set[str]) -> None:
    async with application(SimulatorConfig(control_port=0)) as app, receiver() as server:
        control = app.okta.control
        async with plain_http(base_url=app.okta.control_url or "") as http:
            made = await http.post("/event-stream", json={"endpoint_url": f"{server.url}/events"})
            assert made.status_code == 201
            sub = control.person("alice@example.com").sub
            ordered = await http.post("/orders/security-event", json={"event": event, "sub": sub, "times": 2})
            assert ordered.json() == {"status": 202}
            assert (await http.post("/event-stream/status", json={"status": "paused"})).status_code == 204
            assert (await http.post(f"/users/{sub}/end-okta-sessions")).json() == {"streams": 1}
            await until(lambda: len(server.requests) == 3)
        first, second, updated = server.requests
        assert first.body == second.body
        claims = claims_of(first)
        (members,) = claims["events"].values()
        assert members["subject"].keys() == subject
        assert members["event_timestamp"] // 1000 == pytest.approx(claims["iat"], abs=2)
        assert "sub_id" not in claims
        assert list(claims_of(updated)["events"].values()) == [{"status": "paused"}]


async def test_without_an_answer_there_is_no_status() -> None:
    async with application(SimulatorConfig(event_stream="http://127.0.0.1:9/events")) as app:
        order = app.okta.control.security_events.order(event="session-revoked", sub="00u1")
        assert await order is None
