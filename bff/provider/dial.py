"""Opens a TCP connection to a host of several addresses: Happy Eyeballs (RFC 8305).

uvloop tries the addresses of a host one after the other, each until its timeout. Where IPv6 is announced and does not
work, no refresh would reach the provider.
"""

import asyncio
import socket
from collections.abc import Sequence
from itertools import chain, zip_longest
from typing import Any, Final, TypeAlias

ATTEMPT_DELAY: Final = 0.25  # seconds before the next address is tried beside the previous ones

AddressInfo: TypeAlias = tuple[int, int, int, str, Any]  # an entry of `socket.getaddrinfo`


async def dial(host: str, port: int) -> socket.socket:
    """A connected, non-blocking socket. Raises OSError when no address accepts the connection."""
    resolved = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return await connect_to_first(resolved)


async def connect_to_first(resolved: Sequence[AddressInfo]) -> socket.socket:
    """The first connection that is accepted; the other attempts are cancelled. Raises OSError if all fail."""
    addresses = iter(alternate(resolved))
    more, pending, failure = True, set[asyncio.Task[socket.socket]](), OSError("the host has no address")
    try:
        while more or pending:
            if more and (address := next(addresses, None)) is not None:
                pending.add(asyncio.create_task(_connect(address)))
            else:
                more = False
            if not pending:
                break
            timeout = ATTEMPT_DELAY if more else None
            done, _ = await asyncio.wait(pending, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
            for attempt in done:
                pending.discard(attempt)
                error = attempt.exception()
                if error is None:
                    return attempt.result()
                if not isinstance(error, OSError):
                    raise error
                failure = error
        raise failure
    finally:
        for attempt in pending:
            attempt.cancel()
            attempt.add_done_callback(_close)


def alternate(resolved: Sequence[AddressInfo]) -> list[AddressInfo]:
    """Address families in turn, each in the order of the resolver (RFC 8305 section 4)."""
    families: dict[int, list[AddressInfo]] = {}
    for entry in resolved:
        families.setdefault(entry[0], []).append(entry)
    return [entry for entry in chain.from_iterable(zip_longest(*families.values())) if entry is not None]


async def _connect(address: AddressInfo) -> socket.socket:
    family, socket_type, protocol, _, where = address
    connection = socket.socket(family, socket_type, protocol)
    try:
        connection.setblocking(False)
        await asyncio.get_running_loop().sock_connect(connection, where)
    except BaseException:
        connection.close()
        raise
    return connection


def _close(attempt: "asyncio.Task[socket.socket]") -> None:
    """Closes the connection of an attempt that succeeded beside the first."""
    if not attempt.cancelled() and attempt.exception() is None:
        attempt.result().close()
