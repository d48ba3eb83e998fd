"""Commands to Redis: repeated where that helps, in time, acknowledged by a replica, and each with its own reply."""

import asyncio
from typing import Any

import pytest
from redis.exceptions import (
    AuthenticationError,
    BusyLoadingError,
    ClusterDownError,
    NoPermissionError,
    NoScriptError,
    OutOfMemoryError,
    ReadOnlyError,
    ResponseError,
)
from redis.exceptions import ConnectionError as RedisConnectionError

from bff.errors import StoreUnavailable
from bff.session.store import InvalidPosition
from bff.storage.redis import scripts
from bff.storage.redis.call import Call
from bff.storage.redis.circuit_breaker import FAILURES, PAUSE
from bff.storage.redis.client import RedisLink
from bff.storage.redis.topology import Command, OneServer
from bff.storage.timeouts import RedisTimeouts
from tests.harness.virtual_time import time_passes
from tests.unit.storage.redis.network import Server, error, pool_of

MASTER: list[Any] = [b"master", 0, []]
GET = Call("k", None, args=("GET", "k"), write=False)
SCRIPT = Call("k", scripts.TOUCH, keys=("k",), args=(1,))


class Link:
    def __init__(self, answer: Any) -> None:
        self.server = Server(answer)
        self.link = RedisLink(OneServer(pool_of({1: self.server}, 1)), RedisTimeouts())

    @property
    def names(self) -> list[Any]:
        return [command[0] for command in self.server.received]


def replying(*replies: Any, role: Any = MASTER) -> Link:
    """ROLE is answered with `role`, other commands with the replies in turn; the last one stays."""
    left = list(replies)

    def answer(command: Command) -> Any:
        if command[0] == "ROLE":
            return role
        return left.pop(0) if len(left) > 1 else left[0]

    return Link(answer)


@pytest.mark.parametrize("failure", [RedisConnectionError(), ReadOnlyError(), OSError()], ids=repr)
async def test_a_command_is_repeated_after_a_broken_connection_or_a_demoted_server(failure: Exception) -> None:
    link = replying(failure, failure, b"value")
    assert await link.link.run(GET) == b"value"
    assert link.names == ["GET"] * 3


async def test_a_script_that_the_server_lacks_is_sent_with_its_text() -> None:
    link = replying(NoScriptError(), 1)
    assert await link.link.run(SCRIPT) == 1
    assert link.names == ["ROLE", "EVALSHA", "EVAL"]


async def test_an_error_reply_is_not_repeated_and_shows_its_first_word_only() -> None:
    link = replying(error("OOM command not allowed, secret argument"))
    with pytest.raises(StoreUnavailable) as refused:
        await link.link.ask(GET)
    assert (link.names, "OOM" in str(refused.value), "secret" in str(refused.value)) == (["GET"], True, False)


async def test_a_server_that_does_not_answer_is_given_up_and_found_again() -> None:
    link = replying(b"value")
    link.server.delay = 60.0
    loop = asyncio.get_running_loop()
    for _ in range(FAILURES):
        with pytest.raises(StoreUnavailable):
            await link.link.run(GET)
    assert loop.time() == pytest.approx(FAILURES * RedisTimeouts().operation)
    begun, sent = loop.time(), len(link.names)
    with pytest.raises(StoreUnavailable, match="tried again in a moment"):
        await link.link.run(GET)
    assert (loop.time(), len(link.names)) == (begun, sent), "the circuit is open"
    link.server.delay = 0.0
    await time_passes(PAUSE)
    answers = await asyncio.gather(*(link.link.run(GET) for _ in range(5)), return_exceptions=True)
    assert [answer for answer in answers if answer == b"value"] == [b"value"], "one of them is the probe"
    assert await link.link.run(GET) == b"value"


@pytest.mark.parametrize(
    ("failure", "unreachable"),
    [
        (RedisConnectionError(), True),
        (OSError(), True),
        (BusyLoadingError(), True),
        (ClusterDownError("CLUSTERDOWN"), True),
        (AuthenticationError("WRONGPASS"), False),
        (NoPermissionError("NOPERM"), False),
        (OutOfMemoryError("OOM"), False),
        (error("ERR"), False),
    ],
    ids=lambda value: type(value).__name__,
)
async def test_only_a_server_without_a_reply_is_unreachable(failure: Exception, unreachable: bool) -> None:
    link = replying(failure)
    for _ in range(FAILURES + 1):  # also once the circuit is open
        for ask in (link.link.ask(GET), link.link.read(GET)):
            with pytest.raises((StoreUnavailable, ResponseError)) as refused:
                await ask
            assert getattr(refused.value, "unreachable", False) == unreachable


@pytest.mark.parametrize(("acknowledged", "attempts"), [([1], 1), ([0, 1], 2), ([0, 0], 2)])
async def test_a_write_counts_once_a_replica_has_it(acknowledged: list[int], attempts: int) -> None:
    left = list(acknowledged)

    def answer(command: Command) -> Any:
        match command[0]:
            case "ROLE":
                return [b"master", 0, [[b"replica"]]]
            case "WAIT":
                return left.pop(0)
            case _:
                return 1

    link = Link(answer)
    if acknowledged[-1]:
        assert await link.link.run(SCRIPT) == 1
    else:
        with pytest.raises(StoreUnavailable, match="acknowledged"):
            await link.link.run(SCRIPT)
    assert link.server.received.count(("WAIT", 1, 500)) == attempts


async def test_reads_of_one_turn_are_sent_together_and_each_gets_its_own_reply() -> None:
    link = Link(lambda command: f"value of {command[1]}".encode())
    calls = [Call("k", None, args=("GET", f"{number}"), write=False) for number in range(20)]
    assert await asyncio.gather(*map(link.link.read, calls)) == [f"value of {n}".encode() for n in range(20)]
    assert link.server.exchanges == [20]


@pytest.mark.parametrize("role", [MASTER, [b"master", 0, [[b"replica"]]]], ids=["alone", "with a replica"])
async def test_calls_together_are_one_exchange_and_each_has_its_own_reply(role: Any) -> None:
    def answer(command: Command) -> Any:
        return role if command[0] == "ROLE" else 1 if command[0] == "WAIT" else command[-1]

    link = Link(answer)
    calls = [Call("k", scripts.TOUCH, keys=("k",), args=(number,)) for number in range(5)]
    assert await link.link.ask_together(calls) == [0, 1, 2, 3, 4]
    assert [name for name in link.names if name != "ROLE"][:5] == ["EVAL", *["EVALSHA"] * 4]
    assert link.names.count("WAIT") == (role is not MASTER)
    assert await link.link.ask_together([]) == []


async def test_a_call_that_fails_together_is_repeated_alone() -> None:
    replies: list[Any] = [1, NoScriptError(), 3, error("OOM no memory"), 2, error("OOM no memory")]
    link = Link(lambda command: MASTER if command[0] == "ROLE" else replies.pop(0))
    first, second, third, fourth = await link.link.ask_together([SCRIPT] * 4)
    assert (first, second, third, type(fourth)) == (1, 2, 3, StoreUnavailable)


async def test_calls_together_are_unavailable_one_by_one() -> None:
    link = replying(RedisConnectionError())
    answers = await link.link.ask_together([SCRIPT] * 3)
    assert [type(answer) for answer in answers] == [StoreUnavailable] * 3


async def test_calls_together_that_no_replica_acknowledged_are_no_success() -> None:
    link = Link(lambda command: [b"master", 0, [[b"replica"]]] if command[0] == "ROLE" else 0)
    answers = await link.link.ask_together([SCRIPT] * 2)
    assert ["acknowledged" in str(answer) for answer in answers] == [True, True]


async def test_a_read_that_needs_its_script_is_repeated_alone() -> None:
    replies: dict[Any, list[Any]] = {"EVALSHA": [1, NoScriptError(), 3, NoScriptError()], "EVAL": [2]}
    link = Link(lambda command: replies[command[0]].pop(0))
    call = Call("k", scripts.GET, keys=("k",), args=(10,), write=False)
    assert await asyncio.gather(*(link.link.read(call) for _ in range(3))) == [1, 2, 3]


async def test_each_reader_gets_an_exception_of_its_own() -> None:
    link = replying(RedisConnectionError())
    errors = await asyncio.gather(*(link.link.read(GET) for _ in range(3)), return_exceptions=True)
    assert len({id(each) for each in errors if isinstance(each, StoreUnavailable)}) == 3


@pytest.mark.parametrize(
    "replies", [[MemoryError()], [NoScriptError(), NoScriptError(), MemoryError()]], ids=["together", "alone"]
)
async def test_no_reader_waits_for_ever_whatever_happens(replies: list[Exception]) -> None:
    link = replying(*replies)
    answers = await asyncio.gather(*(link.link.read(GET) for _ in range(2)), return_exceptions=True)
    assert [type(answer) for answer in answers] == [MemoryError] * 2


async def test_a_cancelled_caller_cancels_no_command() -> None:
    link = replying(1)
    link.server.delay = 0.2
    caller = asyncio.create_task(link.link.run(SCRIPT))
    await time_passes(0.1)
    caller.cancel()
    await link.link.close()
    assert link.names == ["ROLE", "EVALSHA"]


async def test_a_scan_follows_the_cursor() -> None:
    link = replying([b"7", [b"a", b"b"]], [b"0", [b"c"]])
    assert await link.link.scan("bff:*", 0, 0) == ([b"a", b"b"], (0, 7))
    assert await link.link.scan("bff:*", 0, 7) == ([b"c"], None)
    assert [command[1] for command in link.server.received] == [0, 7]
    with pytest.raises(InvalidPosition):
        await link.link.scan("bff:*", 1, 0)
