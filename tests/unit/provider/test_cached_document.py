"""A document that is fetched by one caller for all, refetched behind them, and kept while it cannot be."""

import asyncio

import pytest

from bff.errors import ProviderUnavailable
from bff.provider.cached_document import MAX_RETRY_WITHOUT, REFETCH_INTERVAL, CachedDocument, Loaded
from tests.harness.provider_server import ManualClock
from tests.harness.waiting import loop_turns


class Source:
    """Loads what the test puts into `queue`: a value with a lifetime of 100 seconds, or an error."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.queue: asyncio.Queue[str | Exception] = asyncio.Queue()
        self.loads = 0
        self.document = CachedDocument("document", self._load, clock=self.clock)

    async def _load(self) -> Loaded[str]:
        self.loads += 1
        loaded = await self.queue.get()
        if isinstance(loaded, Exception):
            raise loaded
        return Loaded(loaded, 100.0)

    async def get(self, *loaded: str | Exception) -> str:
        for each in loaded:
            self.queue.put_nowait(each)
        return await self.document.get()


async def test_a_fresh_document_is_not_fetched_again() -> None:
    source = Source()
    assert await source.get("one") == "one"
    source.clock.forward(99.9)
    assert await source.get() == "one"
    assert (source.loads, source.document.loading, source.document.problem) == (1, False, None)


async def test_what_is_true_now_is_fetched_now_and_not_too_often() -> None:
    source = Source()
    await source.get("one")
    with pytest.raises(ProviderUnavailable, match="a moment ago"):
        await source.document.refetch()
    source.clock.forward(REFETCH_INTERVAL)
    source.queue.put_nowait("two")
    first = asyncio.create_task(source.document.refetch())
    await loop_turns(1)
    with pytest.raises(ProviderUnavailable, match="a moment ago"):  # what that fetch sees may be older
        await source.document.refetch()
    assert await first == "two"
    source.clock.forward(REFETCH_INTERVAL)
    source.queue.put_nowait(ProviderUnavailable("of another issuer"))
    with pytest.raises(ProviderUnavailable, match="of another issuer"):
        await source.document.refetch()
    assert await source.get() == "two"


async def test_a_stale_document_is_returned_while_a_new_one_is_fetched() -> None:
    source = Source()
    await source.get("one")
    source.clock.forward(100)
    for _ in range(50):
        assert await source.get() == "one"
    assert source.document.loading
    source.queue.put_nowait("two")
    await loop_turns(3)
    assert await source.get() == "two"
    assert source.loads == 2


async def test_all_callers_wait_for_one_fetch_and_a_cancelled_one_does_not_affect_the_others() -> None:
    source = Source()
    callers = [asyncio.create_task(source.get()) for _ in range(200)]
    await loop_turns()
    for caller in callers[:20]:
        caller.cancel()
    source.queue.put_nowait("one")
    results = await asyncio.gather(*callers, return_exceptions=True)
    assert all(isinstance(result, asyncio.CancelledError) for result in results[:20])
    assert results[20:] == ["one"] * 180
    assert source.loads == 1


async def test_without_a_document_a_failed_fetch_is_repeated_every_few_seconds_and_keeps_its_reason() -> None:
    source = Source()
    fetched_at = []
    for second in range(15):
        before = source.loads
        with pytest.raises(ProviderUnavailable, match="away") as failed:
            await source.get(*([] if source.queue.qsize() else [ProviderUnavailable("It is away.")]))
        assert failed.value.retry_after is not None
        assert 1 <= failed.value.retry_after <= MAX_RETRY_WITHOUT
        if source.loads > before:
            fetched_at.append(second)
        source.clock.forward(1)
    assert fetched_at == [0, 1, 3, 6, 9, 12]


async def test_with_an_older_document_a_failed_fetch_is_repeated_ever_less_often() -> None:
    source = Source()
    await source.get("one")
    source.clock.forward(100)
    fetched_at = []
    for second in range(200):
        before = source.loads
        assert await source.get(*([] if source.queue.qsize() else [ProviderUnavailable("It is away.")])) == "one"
        await loop_turns(3)
        if source.loads > before:
            fetched_at.append(second)
        source.clock.forward(1)
    assert fetched_at == [0, 1, 3, 7, 15, 31, 63, 123, 183]


async def test_the_log_has_the_first_failure_and_then_ever_fewer(caplog: pytest.LogCaptureFixture) -> None:
    source = Source()
    for _ in range(20):
        with pytest.raises(ProviderUnavailable):
            await source.get(ProviderUnavailable("It is away."))
        source.clock.forward(3)
    assert [getattr(record, "failures", 0) for record in caplog.records if record.levelname == "WARNING"] == [
        1, 2, 4, 8, 16,
    ]  # fmt: skip


async def test_a_failed_fetch_does_not_replace_a_good_document() -> None:
    source = Source()
    await source.get("one")
    source.clock.forward(100)
    assert await source.get(ProviderUnavailable("It is away.")) == "one"
    await loop_turns(3)
    assert "away" in str(source.document.problem)
    assert await source.get() == "one"
    source.clock.forward(1)
    await source.get("two")
    await loop_turns(3)
    assert source.document.value == "two"
    assert source.document.problem is None


async def test_an_unexpected_error_is_a_failed_fetch_that_names_only_its_type() -> None:
    source = Source()
    with pytest.raises(ProviderUnavailable, match="ZeroDivisionError") as failed:
        await source.get(ZeroDivisionError("secret"))
    assert "secret" not in str(failed.value)


async def test_closing_cancels_a_running_fetch() -> None:
    source = Source()
    caller = asyncio.create_task(source.get())
    await loop_turns(2)
    await source.document.close()
    with pytest.raises(asyncio.CancelledError):
        await caller
    assert not source.document.loading
