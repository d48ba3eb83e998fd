"""The discovery document and the signing keys, as they are fetched, kept and fetched again."""

import asyncio
import gzip
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from bff.config.provider import TransportSettings
from bff.errors import ProviderUnavailable
from bff.oidc.client_auth import client_authentication
from bff.oidc.jwks import KeySetRefused
from bff.oidc.metadata import MetadataRefused
from bff.provider.client import HttpProvider
from bff.provider.connections import ProviderConnections
from bff.provider.key_set import lifetime
from bff.telemetry import metrics
from tests.harness.minting import OTHER_RSA_KEY, RSA_KEY, jwk, jwks
from tests.harness.provider_wire import (
    DISCOVERY,
    WITHIN,
    Behaviour,
    HandClock,
    Request,
    Wire,
    answer,
    answer_json,
    discovery_document,
    head,
    reset,
    stall,
    wire,
)

BOTH_KEYS = jwks(jwk(RSA_KEY), jwk(OTHER_RSA_KEY, "k2"))


@asynccontextmanager
async def provider_of(world: Wire, clock: HandClock, *, timeout: float = WITHIN) -> AsyncIterator[HttpProvider]:
    auth = client_authentication("client_secret_basic", "0oa1", secrets=["secret"])
    provider = HttpProvider(
        world.issuer, auth, ProviderConnections(TransportSettings(timeout=timeout)), monotonic=clock
    )
    try:
        yield provider
    finally:
        await provider.close()


async def eventually(true: Callable[[], bool]) -> None:
    """For what happens behind a caller's back; fails by its deadline, not by a guess at how long it takes."""
    async with asyncio.timeout(2 * WITHIN):
        while not true():
            await asyncio.sleep(0.005)


def gated(behaviour: Behaviour) -> tuple[Behaviour, asyncio.Event]:
    gate = asyncio.Event()

    async def send(request: Request, writer: asyncio.StreamWriter) -> None:
        await gate.wait()
        await behaviour(request, writer)

    return send, gate


async def endless(_: Request, writer: asyncio.StreamWriter) -> None:
    writer.write(head(200, {"transfer-encoding": "chunked"}))
    while True:
        writer.write(b"4\r\n    \r\n")
        await writer.drain()


def redirect(location: str) -> Behaviour:
    return answer(301, b"", {"location": location})


def problem_of(provider: HttpProvider) -> ProviderUnavailable | None:
    """Why the last fetch of metadata or keys failed; None when all is well."""
    return provider._metadata.problem or provider._keys.document.problem


# --- discovery


async def test_the_document_is_fetched_once_and_kept() -> None:
    clock = HandClock()
    async with wire() as world, provider_of(world, clock) as provider:
        assert (await provider.metadata()).token_endpoint == f"{world.issuer}/token"
        clock.forward(3599)
        assert await provider.metadata() is await provider.metadata()
        assert world.count(DISCOVERY) == 1
        assert problem_of(provider) is None


async def test_a_stale_document_is_used_while_a_new_one_is_fetched_behind_it() -> None:
    clock = HandClock()
    async with wire() as world, provider_of(world, clock) as provider:
        await provider.metadata()
        moved = answer_json(discovery_document(world.issuer, token_endpoint=f"{world.issuer}/token2"))
        world.routes[DISCOVERY], gate = gated(moved)
        clock.forward(3600)
        for _ in range(50):
            assert (await provider.metadata()).token_endpoint.endswith("/token")
        gate.set()
        await eventually(lambda: not provider._metadata.loading)
        assert (await provider.metadata()).token_endpoint.endswith("/token2")
        assert world.count(DISCOVERY) == 2


@pytest.mark.parametrize(
    "behaviour",
    [
        pytest.param(redirect("http://127.0.0.1:1/"), id="JK-003 to another host"),
        pytest.param(redirect("https://127.0.0.1:1/"), id="JK-003 to another scheme"),
        pytest.param(redirect("file:///etc/passwd"), id="JK-003 to a file"),
        pytest.param(answer(200, b"<html>Sign in to the wifi</html>", {"content-type": "text/html"}), id="JK-005 HTML"),
        pytest.param(answer(200, b" " * 10_000_000), id="JK-006 10 MB"),
        pytest.param(
            answer(200, gzip.compress(b" " * (32 << 20)), {"content-encoding": "gzip"}), id="JK-006 gzip bomb"
        ),
        pytest.param(endless, id="JK-006 never ends"),
        pytest.param(stall, id="JK-006 never begins"),
        pytest.param(reset, id="reset"),
        pytest.param(answer(500), id="500"),
        pytest.param(answer(404), id="404"),
        pytest.param(answer_json({"issuer": "https://evil"}), id="of another issuer"),
    ],
)
async def test_a_bad_answer_neither_replaces_the_good_document_nor_takes_the_place_of_a_first_one(
    behaviour: Behaviour, time_passes: Callable[[float], None]
) -> None:
    async def bad(request: Request, writer: asyncio.StreamWriter) -> None:
        if behaviour is stall:
            time_passes(WITHIN)
        await behaviour(request, writer)

    clock = HandClock()
    async with wire() as world:
        good = world.routes[DISCOVERY]
        async with provider_of(world, clock) as provider:
            await provider.metadata()
            world.routes[DISCOVERY] = bad
            clock.forward(3600)
            assert (await provider.metadata()).issuer == world.issuer
            await eventually(lambda: problem_of(provider) is not None)
            assert (await provider.metadata()).token_endpoint == f"{world.issuer}/token"
            world.routes[DISCOVERY] = good
            clock.forward(60)
            await provider.metadata()
            await eventually(lambda: problem_of(provider) is None)
        async with provider_of(world, clock) as cold:
            world.routes[DISCOVERY] = bad
            with pytest.raises(ProviderUnavailable):
                await cold.metadata()


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        pytest.param({"jwks_uri": "file:///etc/passwd"}, "jwks_uri: must be https", id="JK-008 file"),
        pytest.param({"jwks_uri": None}, "jwks_uri: missing", id="JK-009 no jwks_uri"),
        pytest.param({"response_types_supported": ["token"]}, "code flow", id="JK-009 no code flow"),
        pytest.param({"code_challenge_methods_supported": []}, "S256", id="JK-009 no S256"),
    ],
)
async def test_an_unusable_document_is_refused_with_its_reason(changes: dict[str, Any], reason: str) -> None:
    async with wire() as world, provider_of(world, HandClock()) as provider:
        world.routes[DISCOVERY] = answer_json(discovery_document(world.issuer, **changes))
        with pytest.raises(MetadataRefused, match=reason):
            await provider.metadata()
        with pytest.raises(MetadataRefused, match=reason):  # in the back-off too
            await provider.metadata()
        assert world.count(DISCOVERY) == 1


async def test_the_cause_of_a_failed_fetch_is_kept() -> None:
    async with wire() as world, provider_of(world, HandClock()) as provider:
        world.routes[DISCOVERY] = answer(200, b" " * 10_000_000)
        with pytest.raises(ProviderUnavailable, match="longer than 1048576 bytes"):
            await provider.metadata()
        assert "longer than" in str(problem_of(provider))


async def test_a_provider_that_is_away_is_asked_ever_less_often() -> None:
    clock = HandClock()
    async with wire() as world, provider_of(world, clock) as provider:
        world.routes[DISCOVERY] = answer(500)
        asked_after = []
        for second in range(200):
            before = world.count(DISCOVERY)
            with pytest.raises(ProviderUnavailable) as caught:
                await provider.metadata()
            assert caught.value.retry_after is not None
            if world.count(DISCOVERY) > before:
                asked_after.append(second)
            clock.forward(1)
        assert asked_after == [0, 1, 3, 7, 15, 31, 63, 123, 183]


# --- keys


@pytest.mark.parametrize("case", ["JK-032"])
async def test_200_callers_with_a_cold_cache_cause_one_fetch_and_the_first_to_leave_takes_nothing_along(
    case: str,
) -> None:
    async with wire() as world, provider_of(world, HandClock()) as provider:
        world.routes["/keys"], gate = gated(world.routes["/keys"])
        callers = [asyncio.create_task(provider.keys()) for _ in range(200)]
        await eventually(lambda: world.count("/keys") == 1)
        for caller in callers[:20]:
            caller.cancel()
        gate.set()
        results = await asyncio.gather(*callers, return_exceptions=True)
        assert all(isinstance(result, asyncio.CancelledError) for result in results[:20])
        assert all(result is results[20] for result in results[20:])
        assert not isinstance(results[20], BaseException)
        assert (world.count("/keys"), world.count(DISCOVERY)) == (1, 1)


async def test_a_new_key_is_found_as_soon_as_a_token_names_it() -> None:
    clock = HandClock()
    async with wire() as world, provider_of(world, clock) as provider:
        assert not (await provider.keys()).has("k2")
        world.routes["/keys"] = answer(200, BOTH_KEYS)
        assert not (await provider.keys("k1")).has("k2")
        assert (await provider.keys("k2")).has("k2")
        assert world.count("/keys") == 2


@pytest.mark.parametrize("case", ["JK-026", "IT-049"])
async def test_a_thousand_unknown_kids_cause_one_fetch_in_each_interval(case: str) -> None:
    clock = HandClock()
    async with wire() as world, provider_of(world, clock) as provider:
        await provider.keys()
        for interval in range(3):
            await asyncio.gather(*[provider.keys(f"forged-{interval}-{number}") for number in range(1000)])
            assert world.count("/keys") == 2 + interval
            clock.forward(9.9)
            await provider.keys("forged")
            assert world.count("/keys") == 2 + interval
            clock.forward(0.1)


async def test_a_key_that_appears_while_a_fetch_is_under_way_is_still_found() -> None:
    """The fetch under way may have been answered before the key was published: joining it must not be the last word."""
    clock = HandClock()
    async with wire() as world, provider_of(world, clock) as provider:
        await provider.keys()
        world.routes["/keys"], gate = gated(world.routes["/keys"])
        clock.forward(86400)
        await provider.keys()
        await eventually(lambda: world.count("/keys") == 2)
        caller = asyncio.create_task(provider.keys("k2"))
        await asyncio.sleep(0)
        world.routes["/keys"] = answer(200, BOTH_KEYS)
        gate.set()
        assert (await caller).has("k2")
        assert world.count("/keys") == 3


@pytest.mark.parametrize("case", ["JK-025"])
async def test_an_outage_of_an_hour_leaves_known_keys_good_and_fails_unknown_ones_fast(case: str) -> None:
    clock = HandClock()
    async with wire() as world, provider_of(world, clock) as provider:
        await provider.keys()
        world.routes["/keys"] = answer(500)
        for _ in range(60):
            clock.forward(60)
            assert (await provider.keys("k1")).has("k1")
            for _ in range(20):
                with pytest.raises(ProviderUnavailable):
                    await provider.keys("forged")
        assert problem_of(provider) is not None
        assert world.count("/keys") <= 1 + 2 * 60
        world.routes["/keys"] = answer(200, BOTH_KEYS)
        clock.forward(60)
        assert (await provider.keys("k2")).has("k2")
        assert problem_of(provider) is None


@pytest.mark.parametrize("case", ["JK-024"])
async def test_keys_that_do_not_come_are_given_up_and_the_known_ones_serve_meanwhile(
    case: str, time_passes: Callable[[float], None]
) -> None:
    may_be_late = asyncio.Event()

    async def late(request: Request, writer: asyncio.StreamWriter) -> None:
        await may_be_late.wait()
        time_passes(WITHIN)
        await stall(request, writer)

    clock = HandClock()
    async with wire() as world, provider_of(world, clock) as provider:
        await provider.keys()
        world.routes["/keys"] = late
        clock.forward(86400)
        assert (await provider.keys("k1")).has("k1")
        assert provider._keys.document.loading
        may_be_late.set()
        with pytest.raises(ProviderUnavailable):
            await provider.keys("k2")
    async with wire(keys=late) as world, provider_of(world, clock) as cold:
        with pytest.raises(ProviderUnavailable):
            await cold.keys()


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b'{"keys":[]}', id="JK-012 no key"),
        pytest.param(b'{"keys":null}', id="JK-012 null"),
        pytest.param(b'{"keys":{}}', id="JK-012 an object"),
        pytest.param(b"{}", id="JK-012 nothing"),
        pytest.param(jwks(*[jwk(RSA_KEY, f"k{n}") for n in range(10_000)]), id="JK-023 10,000 keys"),
        pytest.param(b" " * 10_000_000, id="JK-023 10 MB"),
    ],
)
async def test_a_set_without_keys_does_not_replace_the_last_good_one(body: bytes) -> None:
    clock = HandClock()
    async with wire() as world, provider_of(world, clock) as provider:
        await provider.keys()
        world.routes["/keys"] = answer(200, body)
        clock.forward(86400)
        await provider.keys()
        await eventually(lambda: problem_of(provider) is not None)
        assert (await provider.keys()).has("k1")
    async with wire(keys=answer(200, b"{}")) as world, provider_of(world, clock) as cold:
        with pytest.raises(KeySetRefused):
            await cold.keys()


async def test_the_keys_are_fetched_again_when_their_time_is_over_and_not_before() -> None:
    clock = HandClock()
    keys = answer(200, BOTH_KEYS, {"cache-control": "max-age=600, must-revalidate"})
    async with wire(keys=keys) as world, provider_of(world, clock) as provider:
        await provider.keys()
        clock.forward(599)
        await provider.keys()
        assert not provider._keys.document.loading
        clock.forward(1)
        await provider.keys()
        await eventually(lambda: world.count("/keys") == 2)


async def test_a_slow_answer_is_joined_and_so_can_never_arrive_after_a_newer_one() -> None:
    clock = HandClock()
    async with wire() as world, provider_of(world, clock) as provider:
        await provider.keys()
        world.routes["/keys"], gate = gated(answer(200, BOTH_KEYS))
        clock.forward(86400)
        await provider.keys()
        await eventually(lambda: world.count("/keys") == 2)
        callers = [asyncio.create_task(provider.keys("k2")) for _ in range(20)]
        clock.forward(3600)
        await provider.keys()
        gate.set()
        assert all(keys.has("k2") for keys in await asyncio.gather(*callers))
        assert world.count("/keys") == 2


@pytest.mark.parametrize("case", ["JK-027"])
async def test_the_cool_down_lives_in_this_process_and_holds_while_everything_else_fails(case: str) -> None:
    """No shared cache could open the throttle by failing; an outage of the provider is the worst there is."""
    clock = HandClock()
    async with wire() as world, provider_of(world, clock) as provider:
        await provider.keys()
        world.routes["/keys"] = reset
        results = await asyncio.gather(*[provider.keys(f"k-{n}") for n in range(500)], return_exceptions=True)
        assert all(isinstance(result, ProviderUnavailable) for result in results)
        assert world.count("/keys") == 2


async def test_closing_ends_a_fetch_under_way() -> None:
    async with wire(keys=stall) as world:
        async with provider_of(world, HandClock(), timeout=60) as provider:
            caller = asyncio.create_task(provider.keys())
            await eventually(lambda: world.count("/keys") == 1)
        with pytest.raises(asyncio.CancelledError):
            await caller


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, 3600.0),
        ({"cache-control": "max-age=3832304, must-revalidate"}, 86400.0),
        ({"cache-control": "public, Max-Age=600"}, 600.0),
        ({"cache-control": 'max-age="600"'}, 600.0),
        ({"cache-control": "max-age=600", "age": "100"}, 500.0),
        ({"cache-control": "max-age=600", "age": "9999"}, 60.0),
        ({"cache-control": "max-age=600", "age": "old"}, 600.0),
        ({"cache-control": "max-age=1"}, 60.0),
        ({"cache-control": "max-age=0"}, 60.0),
        ({"cache-control": "no-store"}, 60.0),
        ({"cache-control": "no-cache, max-age=600"}, 60.0),
        ({"cache-control": "max-age=-1"}, 3600.0),
        ({"cache-control": "max-age=" + "9" * 400}, 3600.0),
        ({"cache-control": "s-maxage=5"}, 3600.0),
    ],
    ids=repr,
)
def test_how_long_keys_are_fresh(headers: dict[str, str], seconds: float) -> None:
    assert lifetime(headers) == seconds


async def test_a_document_that_our_own_code_stumbles_over_is_a_failed_fetch(monkeypatch: pytest.MonkeyPatch) -> None:
    def stumble(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("bff.provider.discovery.parse_metadata", stumble)
    async with wire() as world, provider_of(world, HandClock()) as provider:
        with pytest.raises(ProviderUnavailable, match="ZeroDivisionError"):
            await provider.metadata()


async def test_a_published_private_key_is_logged_and_counted_and_the_others_serve(
    caplog: pytest.LogCaptureFixture,
) -> None:
    leaked = {**jwk(OTHER_RSA_KEY, "k2"), "d": "AQAB-a-private-part"}
    before = metrics.JWKS_PRIVATE_KEYS._value.get()
    async with wire(keys=answer(200, jwks(jwk(RSA_KEY), leaked))) as world, provider_of(world, HandClock()) as provider:
        keys = await provider.keys()
    assert [key.kid for key in keys.keys] == ["k1"]
    assert metrics.JWKS_PRIVATE_KEYS._value.get() == before + 1
    assert "the provider publishes private or symmetric keys; none of them is used" in caplog.messages
    assert "a-private-part" not in repr([vars(record) for record in caplog.records])
