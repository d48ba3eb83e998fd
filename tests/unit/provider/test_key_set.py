"""The signing keys: known ones stay valid during an outage, and unknown ones cause few fetches."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from bff.errors import ProviderUnavailable
from bff.oidc.jwks import KeySetRefused
from bff.provider.client import HttpProvider
from bff.provider.key_set import MAX_LIFETIME, UNKNOWN_KID_COOL_DOWN, lifetime
from bff.telemetry import metrics
from tests.harness.minting import OTHER_RSA_KEY, RSA_KEY, jwk, jwks
from tests.harness.provider_server import (
    DISCOVERY,
    Behaviour,
    ManualClock,
    ProviderServer,
    answer,
    client_of,
    gated,
    late,
    provider_server,
    reset,
    stall,
)
from tests.harness.waiting import loop_turns, until

BOTH_KEYS = jwks(jwk(RSA_KEY), jwk(OTHER_RSA_KEY, "k2"))


@asynccontextmanager
async def with_keys(
    clock: ManualClock | None = None, **routes: Behaviour
) -> AsyncIterator[tuple[ProviderServer, HttpProvider]]:
    """A provider of `k1`, whose keys have been fetched."""
    async with (
        provider_server(**routes) as server,
        client_of(server, monotonic=clock or ManualClock()) as provider,
    ):
        assert not (await provider.keys()).has("k2")
        yield server, provider


@pytest.mark.case("JK-032")
async def test_all_callers_of_a_cold_cache_cause_one_fetch() -> None:
    async with provider_server() as server, client_of(server) as provider:
        results = await asyncio.gather(*[provider.keys() for _ in range(200)])
        assert all(result is results[0] for result in results)
        assert (server.count("/keys"), server.count(DISCOVERY)) == (1, 1)


async def test_a_new_key_is_found_as_soon_as_a_token_names_it() -> None:
    async with with_keys() as (server, provider):
        server.routes["/keys"] = answer(200, BOTH_KEYS)
        assert not (await provider.keys("k1")).has("k2")
        assert (await provider.keys("k2")).has("k2")
        assert server.count("/keys") == 2


@pytest.mark.case("JK-026", "IT-049", "BL-021")
async def test_unknown_kids_cause_one_fetch_in_each_interval() -> None:
    clock = ManualClock()
    async with with_keys(clock) as (server, provider):
        for interval in range(3):
            await asyncio.gather(*[provider.keys(f"forged-{interval}-{number}") for number in range(100)])
            assert server.count("/keys") == 2 + interval
            clock.forward(UNKNOWN_KID_COOL_DOWN - 0.1)
            await provider.keys("forged")
            assert server.count("/keys") == 2 + interval
            clock.forward(0.1)


async def test_a_key_that_appears_during_a_fetch_is_found_by_another_one() -> None:
    """The running fetch may have been answered before the key was published."""
    clock = ManualClock()
    async with with_keys(clock) as (server, provider):
        server.routes["/keys"], gate = gated(server.routes["/keys"])
        clock.forward(MAX_LIFETIME)
        await provider.keys()
        await until(lambda: server.count("/keys") == 2)
        caller = asyncio.create_task(provider.keys("k2"))
        await loop_turns()
        server.routes["/keys"] = answer(200, BOTH_KEYS)
        gate.set()
        assert (await caller).has("k2")
        assert server.count("/keys") == 3


@pytest.mark.case("JK-025")
async def test_during_an_outage_known_keys_stay_valid_and_unknown_ones_fail_fast() -> None:
    clock = ManualClock()
    async with with_keys(clock) as (server, provider):
        server.routes["/keys"] = answer(500)
        for minute in range(10):
            clock.forward(60)
            assert (await provider.keys("k1")).has("k1")
            for _ in range(5):
                with pytest.raises(ProviderUnavailable):
                    await provider.keys("forged")
            assert server.count("/keys") <= 1 + 2 * (minute + 1)
        server.routes["/keys"] = answer(200, BOTH_KEYS)
        clock.forward(60)
        assert (await provider.keys("k2")).has("k2")


@pytest.mark.case("JK-027")
async def test_the_cool_down_holds_while_every_fetch_fails() -> None:
    async with with_keys() as (server, provider):
        server.routes["/keys"] = reset
        results = await asyncio.gather(*[provider.keys(f"k-{n}") for n in range(500)], return_exceptions=True)
        assert all(isinstance(result, ProviderUnavailable) for result in results)
        assert server.count("/keys") == 2


@pytest.mark.case("JK-024")
async def test_known_keys_serve_while_others_do_not_arrive(advance_clock: Callable[[float], None]) -> None:
    clock = ManualClock()
    never, gate = gated(late(stall, advance_clock))
    async with with_keys(clock) as (server, provider):
        server.routes["/keys"] = never
        clock.forward(MAX_LIFETIME)
        assert (await provider.keys("k1")).has("k1")
        assert provider._keys.document.loading
        gate.set()
        with pytest.raises(ProviderUnavailable):
            await provider.keys("k2")
        async with client_of(server) as cold:
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
async def test_a_set_without_usable_keys_does_not_replace_the_last_good_one(body: bytes) -> None:
    clock = ManualClock()
    async with with_keys(clock) as (server, provider):
        server.routes["/keys"] = answer(200, body)
        clock.forward(MAX_LIFETIME)
        await provider.keys()
        await until(lambda: provider._keys.document.problem)
        assert (await provider.keys()).has("k1")


async def test_without_any_good_keys_the_refusal_is_raised() -> None:
    async with provider_server(keys=answer(200, b"{}")) as server, client_of(server) as provider:
        with pytest.raises(KeySetRefused):
            await provider.keys()


@pytest.mark.parametrize(
    ("cache_control", "age", "seconds"),
    [
        ("", "", 3600.0),
        ("max-age=3832304, must-revalidate", "", 86400.0),
        ("public, Max-Age=600", "", 600.0),
        ('max-age="600"', "", 600.0),
        ("max-age=600", "100", 500.0),
        ("max-age=600", "9999", 60.0),
        ("max-age=600", "old", 600.0),
        ("max-age=1", "", 60.0),
        ("max-age=0", "", 60.0),
        ("no-store", "", 60.0),
        ("no-cache, max-age=600", "", 60.0),
        ("max-age=-1", "", 3600.0),
        ("max-age=" + "9" * 400, "", 3600.0),
        ("s-maxage=5", "", 3600.0),
    ],
)
def test_the_lifetime_of_keys(cache_control: str, age: str, seconds: float) -> None:
    headers = {"cache-control": cache_control, "age": age}
    assert lifetime({name: value for name, value in headers.items() if value}) == seconds


async def test_a_published_private_key_is_logged_and_counted_and_the_others_are_used(
    caplog: pytest.LogCaptureFixture,
) -> None:
    leaked = {**jwk(OTHER_RSA_KEY, "k2"), "d": "AQAB-a-private-part"}
    before = metrics.JWKS_PRIVATE_KEYS._value.get()
    async with with_keys(keys=answer(200, jwks(jwk(RSA_KEY), leaked))) as (_, provider):
        assert [key.kid for key in (await provider.keys()).keys] == ["k1"]
    assert metrics.JWKS_PRIVATE_KEYS._value.get() == before + 1
    assert "the provider publishes private or symmetric keys; none of them is used" in caplog.messages
    assert "a-private-part" not in repr([vars(record) for record in caplog.records])


async def test_keys_are_fetched_again_when_their_lifetime_is_over_and_not_before() -> None:
    clock = ManualClock()
    keys = answer(200, jwks(jwk(RSA_KEY)), {"cache-control": "max-age=600, must-revalidate"})
    async with with_keys(clock, keys=keys) as (server, provider):
        clock.forward(599)
        await provider.keys()
        assert not provider._keys.document.loading
        clock.forward(1)
        await provider.keys()
        await until(lambda: server.count("/keys") == 2)
