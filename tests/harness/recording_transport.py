"""A transport that records what is written to it."""

import asyncio
from typing import Any


class RecordingTransport(asyncio.Transport):
    """`unsent` is the size of its write buffer in bytes. Several may share one `log`, each under its name."""

    def __init__(self, name: str = "", log: list[str] | None = None, **extra: Any) -> None:
        super().__init__(extra)
        self.name, self.log = name, [] if log is None else log
        self.written = b""
        self.unsent = 0
        self.reading = True
        self.closing = False

    def write(self, data: Any) -> None:
        self.written += bytes(data)
        self.log.append(f"{self.name} {bytes(data).decode('latin-1')}")

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None: ...

    def get_write_buffer_size(self) -> int:
        return self.unsent

    def is_closing(self) -> bool:
        return self.closing

    def close(self) -> None:
        self.closing = True

    def abort(self) -> None:
        self.closing = True

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        self.reading = True
