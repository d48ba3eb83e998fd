"""Connecting to a host with several addresses, of which some do not answer."""

import asyncio
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest
from aiohappyeyeballs import AddrInfoType

from bff.provider.dial import connect_to_first, dial
from tests.harness.waiting import loop_turns, until

Opens = Callable[[ExitStack], AddrInfoType]


def info(host: str, port: int, family: int = socket.AF_INET) -> AddrInfoType:
    return family, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", (host, port)


@pytest.fixture
def sockets() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def accepting(sockets: ExitStack) -> AddrInfoType:
    server = sockets.enter_context(socket.create_server(("127.0.0.1", 0)))
    return info("127.0.0.1", server.getsockname()[1])


def refusing(sockets: ExitStack) -> AddrInfoType:
    unused = sockets.enter_context(socket.socket())
    unused.bind(("127.0.0.1", 0))
    return info("127.0.0.1", unused.getsockname()[1])


def silent(sockets: ExitStack) -> AddrInfoType:
    """The system answers no further connection request: the queue of the listener is full."""
    server = sockets.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
    for _ in range(4):
        waiting = sockets.enter_context(socket.socket())
        waiting.setblocking(False)
        waiting.connect_ex(server.getsockname())
    return info("127.0.0.1", server.getsockname()[1])


def nothing_else_runs() -> bool:
    return asyncio.all_tasks() == {asyncio.current_task()}


@pytest.mark.parametrize("others", [[refusing], [silent], [refusing, silent, refusing]])
async def test_an_address_that_does_not_work_is_passed_over(sockets: ExitStack, others: list[Opens]) -> None:
    works = accepting(sockets)
    connection = await connect_to_first([*(other(sockets) for other in others), works])
    assert connection.getpeername() == works[4]
    connection.close()
    await until(nothing_else_runs)


async def test_the_first_address_is_used_while_it_works(sockets: ExitStack) -> None:
    first = accepting(sockets)
    connection = await connect_to_first([first, accepting(sockets)])
    assert connection.getpeername() == first[4]
    connection.close()


async def test_no_address_that_works_is_an_error_of_the_system(sockets: ExitStack) -> None:
    with pytest.raises(ConnectionRefusedError):
        await connect_to_first([refusing(sockets), refusing(sockets)])
    with pytest.raises(OSError, match="no address"):
        await connect_to_first([])


async def test_a_cancelled_attempt_leaves_no_socket_open(sockets: ExitStack) -> None:
    attempt = asyncio.create_task(connect_to_first([silent(sockets)]))
    await loop_turns(20)
    attempt.cancel()
    with pytest.raises(asyncio.CancelledError):
        await attempt
    await until(nothing_else_runs)  # its socket, left open, would be a ResourceWarning, which fails the test


async def test_a_name_is_resolved(sockets: ExitStack) -> None:
    port = accepting(sockets)[4][1]
    connection = await dial("localhost", port)
    assert connection.getpeername()[1] == port
    connection.close()
    with pytest.raises(socket.gaierror):
        await dial("nowhere.invalid", 443)
