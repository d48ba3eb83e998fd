"""A session store in a process of its own, which a test uses like one of its own process."""

import asyncio
import io
import pickle
import struct
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from bff.session.keyring import KeyRing
from bff.session.store import Found, Rewrapped
from bff.storage.open import open_store
from tests.harness.bff_command import process_environment
from tests.harness.patience import PATIENT_STORES
from tests.harness.waiting import PATIENCE

_LENGTH: Final = struct.Struct(">I")


class _Calls:
    """Methods of an object of the other process."""

    def __init__(self, store: "RemoteStore", path: tuple[str, ...]) -> None:
        self._store, self._path = store, path

    def __getattr__(self, name: str) -> Any:
        async def call(*arguments: Any, **named: Any) -> Any:
            return await self._store.call((*self._path, name), arguments, named)

        return call


class RemoteStore(_Calls):
    """`open_store` with these arguments, in the process of `stores_of_another_process`."""

    def __init__(self, process: Path, url: str, ring: KeyRing, options: dict[str, Any]) -> None:
        super().__init__(self, ())
        self.revocations = _Calls(self, ("revocations",))
        self._process, self._opening = process, (url, [key._material for key in ring._keys], options)
        self._connecting = asyncio.Lock()
        self._writer: asyncio.StreamWriter | None = None
        self._answers: dict[int, asyncio.Future[Any]] = {}
        self._reading: asyncio.Task[None] | None = None
        self._calls = 0

    async def call(self, path: tuple[str, ...], arguments: Any, named: Any) -> Any:
        async with self._connecting:
            if self._writer is None:
                reader, self._writer = await asyncio.open_unix_connection(self._process)
                self._reading = asyncio.create_task(self._read(reader))
                _send(self._writer, self._opening)
        self._calls += 1
        answer = self._answers[self._calls] = asyncio.get_running_loop().create_future()
        _send(self._writer, (self._calls, path, arguments, named))
        return await answer

    async def rewrap(self) -> AsyncIterator[Rewrapped]:
        for step in await self.call(("rewrap",), (), {}):
            yield step

    async def close(self) -> None:
        if self._writer is not None and self._reading is not None:
            await self.call(("close",), (), {})
            self._reading.cancel()
            self._writer.close()
            await self._writer.wait_closed()

    async def _read(self, reader: asyncio.StreamReader) -> None:
        try:
            while True:
                number, result, error = await _receive(reader)
                answer = self._answers.pop(number)
                if answer.done():  # its caller was cancelled
                    continue
                if error is None:
                    answer.set_result(result)
                else:
                    answer.set_exception(error)
        except Exception as failure:
            for answer in self._answers.values():
                if not answer.done():
                    answer.set_exception(failure)


class _Pickler(pickle.Pickler):
    """Sends a record that has been read as all of its session, not as the cache and the keys that would open it."""

    def reducer_override(self, value: Any) -> Any:
        if isinstance(value, Found):
            return Found, (value.now, value.session, value.last_seen_at, value.older_key)
        return NotImplemented


def _send(writer: asyncio.StreamWriter, value: Any) -> None:
    buffer = io.BytesIO()
    _Pickler(buffer).dump(value)
    content = buffer.getvalue()
    writer.write(_LENGTH.pack(len(content)) + content)


async def _receive(reader: asyncio.StreamReader) -> Any:
    (length,) = _LENGTH.unpack(await reader.readexactly(_LENGTH.size))
    return pickle.loads(await reader.readexactly(length))


async def _serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    url, keys, options = await _receive(reader)
    store = open_store(url, KeyRing.from_keys(keys), timeouts=PATIENT_STORES, **options)

    async def carry_out(number: int, path: tuple[str, ...], arguments: Any, named: Any) -> None:
        try:
            method: Any = store
            for name in path:
                method = getattr(method, name)
            called = method(*arguments, **named)
            result = [step async for step in called] if path == ("rewrap",) else await called
            _send(writer, (number, result, None))
        except Exception as error:
            _send(writer, (number, None, error))

    async with asyncio.TaskGroup() as calls:
        while True:
            try:
                call = await _receive(reader)
            except asyncio.IncompleteReadError:
                break
            calls.create_task(carry_out(*call))
    writer.close()


@contextmanager
def stores_of_another_process(directory: Path) -> Iterator[Path]:
    """Starts the process, and yields its Unix socket."""
    path = directory / "stores"
    process = subprocess.Popen([sys.executable, "-m", __name__, str(path)], env=process_environment())
    try:
        ends_at = time.monotonic() + PATIENCE
        while not path.exists() and time.monotonic() < ends_at:
            time.sleep(0.01)
        yield path
    finally:
        process.kill()
        process.wait()


async def _main(path: str) -> None:
    server = await asyncio.start_unix_server(_serve, path)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(_main(sys.argv[1]))
