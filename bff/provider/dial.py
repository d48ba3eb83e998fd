"""Opens a TCP connection to a host of several addresses: Happy Eyeballs (RFC 8305).

uvloop tries the addresses of a host one after the other, each until its timeout. Where IPv6 is announced and does not
work, no refresh would reach the provider.
"""

import asyncio
import socket
from collections.abc import Sequence
from typing import Final

from aiohappyeyeballs import AddrInfoType, start_connection

ATTEMPT_DELAY: Final = 0.25  # seconds before the next address is tried beside the previous ones


async def dial(host: str, port: int) -> socket.socket:
    """A connected, non-blocking socket. Raises OSError when no address accepts the connection."""
    resolved = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return await connect_to_first(resolved)


async def connect_to_first(resolved: Sequence[AddrInfoType]) -> socket.socket:
    """The first connection that is accepted. Raises OSError if all fail."""
    if not resolved:
        raise OSError("the host has no address")
    try:
        return await start_connection(resolved, happy_eyeballs_delay=ATTEMPT_DELAY)
    except RuntimeError as error:  # uvloop raises it for a socket that another task has closed
        raise OSError(str(error)) from error
