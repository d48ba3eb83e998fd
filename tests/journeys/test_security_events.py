"""Okta ends a session, and the session here ends: by Okta's own form of security events, over the shipped server."""

import time
from contextlib import AsyncExitStack, ExitStack
from pathlib import Path
from typing import Final

from tests.harness.minting import OTHER_RSA_KEY
from tests.harness.provider_orders import is_signed_in, reason, sid
from tests.harness.redis_servers import one_server
from tests.harness.security_events import REVOKED, of_session
from tests.harness.streams import Page
from tests.harness.transmitter_server import TransmitterServer
from tests.harness.waiting import until
from tests.harness.world import listening, serving, small_world

DELIVERY: Final = "Bearer canary-delivery-0123456789"
SETTINGS: Final = {"security_events": "push", "security_events_authorization": DELIVERY}


async def test_a_session_that_okta_ends_ends_on_every_replica_with_its_streams(tmp_path: Path) -> None:
    with ExitStack() as servers:
        url = servers.enter_context(one_server(tmp_path / "redis")).url
        async with AsyncExitStack() as running:
            world = await running.enter_async_context(small_world(tmp_path, store=url, **SETTINGS))
            transmitter = world.okta.control.security_events
            transmitter.add_stream(f"{world.public_url}/auth/security-events", DELIVERY)
            browser, bob = await world.signed_in(), await world.signed_in("bob@example.com")
            replica = await running.enter_async_context(world.replica())
            reading = await running.enter_async_context(Page(replica, browser).reading("/api/events"))
            await reading.next()
            assert await transmitter.order(event="credential-change", sub=world.sub(), change_type="create") == 202
            assert await is_signed_in(browser), "a factor was added"
            assert transmitter.end_sessions(world.okta.control.person("alice@example.com")) == 1
            assert await reading.end() == "broken"
            assert (await Page(replica, browser).fetch("/api/x")).status_code == 401
            assert await reason(browser) == "security_event"
            assert await is_signed_in(bob)
            await browser.sign_in()
            assert await is_signed_in(browser), "the event was before this sign-in"
            await until(lambda: "revoked" in world.revoked or world.revoked.count(None) == 2)


async def test_events_are_polled_and_acknowledged(tmp_path: Path) -> None:
    with listening() as own:
        transmitter = TransmitterServer(f"http://127.0.0.1:{own.getsockname()[1]}", "https://audience.example")
        polled = {"security_events": "poll", "security_events_transmitter": transmitter.url}
        token = {"security_events_token": "canary-token-0123456789"}
        async with serving(transmitter, own), small_world(tmp_path, **polled, **token) as world:
            browser, bob = await world.signed_in(), await world.signed_in("bob@example.com")
            subject = of_session(sid(world), world.sub(), world.okta.issuer)
            jti, compact = transmitter.token(time.time(), {REVOKED: {}}, sub_id=subject)
            wrong, forged = transmitter.token(time.time(), {REVOKED: {}}, sub_id=subject, key=OTHER_RSA_KEY)
            transmitter.waiting |= {jti: compact, wrong: forged}
            await until(lambda: not transmitter.waiting)
            assert (transmitter.acknowledged, transmitter.refused) == ([jti], {wrong: "invalid_key"})
            assert await reason(browser) == "security_event"
            assert await is_signed_in(bob)
