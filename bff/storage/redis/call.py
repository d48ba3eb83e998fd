"""One command for Redis, and a read that waits to be sent with others."""

import asyncio
from dataclasses import dataclass
from typing import Any

from bff.storage.redis.scripts import Script
from bff.storage.redis.topology import Command


@dataclass(frozen=True, slots=True)
class Call:
    """A command, or a script with its keys and arguments. `key` selects the server; a `write` waits for replicas."""

    key: str
    script: Script | None
    keys: tuple[str, ...] = ()
    args: tuple[str | bytes | int | float, ...] = ()
    write: bool = True

    def command(self, *, load: bool = False) -> Command:
        return self.script.command(self.keys, self.args, load=load) if self.script else self.args


@dataclass(frozen=True, slots=True)
class Read:
    call: Call
    answer: asyncio.Future[Any]

    def resolve(self, reply: Any) -> None:
        if self.answer.done():
            return  # its caller was cancelled
        if isinstance(reply, asyncio.CancelledError):
            self.answer.cancel()
        elif isinstance(reply, BaseException):
            self.answer.set_exception(reply)
        else:
            self.answer.set_result(reply)
