"""Ends an HTTP/1.1 connection: with an error response, by shutting it down for writing first, or after a time limit."""

import asyncio
from typing import Any, Final

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from bff.asgi.write_batching import WriteBatch
from bff.errors import BffError
from bff.server.header_sections import HeaderSections
from bff.server.uvicorn_0_54.response_writer import ERRORS, Flow, refusal
from bff.server.uvicorn_0_54.timeouts import Timeouts

# A connection that we close while the client may still be sending is shut down for writing only, for so many bytes and
# for `Timeouts.linger`. An immediate close would reset it, and the response could be lost (RFC 9112 section 9.6).
LINGER_BYTES: Final = 4 * 1024 * 1024


class ClosingConnection(HttpToolsProtocol):
    """The part of the protocol that writes and closes without the application.

    Direct writes and closes must not overtake a response that waits in the write batch.
    """

    _timer: asyncio.TimerHandle | None = None  # for an expected head, or for the end of a connection
    _over = _lingers = False  # over: further data is discarded
    _ignored = 0

    def __init__(
        self,
        *arguments: Any,
        write_batch: WriteBatch | None = None,
        timeouts: Timeouts | None = None,
        header_sections: HeaderSections | None = None,
        **named: Any,
    ) -> None:
        """`write_batch`: shared by all connections of an application, so that responses of one turn leave together.
        `header_sections`: shared by all connections of a server.
        """
        super().__init__(*arguments, **named)
        self.pipeline = None  # type: ignore[assignment] # not used here, and its deque takes 600 bytes
        self._write_batch, self._timeouts = write_batch or WriteBatch(), timeouts or Timeouts()
        self._header_sections = header_sections or HeaderSections(0)

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.flow: Flow = Flow(transport)
        self._unread = bytearray()
        self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._cancel_timer()
        super().connection_lost(exc)

    def _ignore(self, data: bytes) -> None:
        self._ignored += len(data)
        if self._ignored > LINGER_BYTES:
            self.transport.abort()

    def _refuse(self, error: BffError) -> None:
        """Responds without the application, if a response is still possible, and closes the connection."""
        cycle: RequestResponseCycle | None = self.cycle
        self._over = True
        self._write_batch.flush()
        if self.transport.is_closing():
            return
        ERRORS.record(error)
        if cycle is not None and not cycle.response_complete:
            cycle.disconnected = True
            cycle.message_event.set()
            if cycle.response_started:
                self.transport.close()  # in the middle of a response nothing else can be sent
                return
        begun = cycle is not None and not cycle.response_complete
        self.transport.write(refusal(error, self.server_state.default_headers, begun=begun))
        self.linger()

    def linger(self) -> None:
        """Closes the connection once the client has read the data, or after a time limit."""
        self._over = self._lingers = True
        self._unread.clear()
        self._cancel_timer()
        self._unset_keepalive_if_required()
        if self.transport.is_closing() or not self.transport.can_write_eof():
            self.transport.close()
            return
        self.flow.held = False
        self.flow.resume_reading()
        self.transport.write_eof()
        self._timer = self.loop.call_later(self._timeouts.linger, self.transport.abort)

    def shutdown(self) -> None:
        self._write_batch.flush()
        if self._lingers:
            self.transport.close()
        else:
            super().shutdown()

    def _await_head(self) -> None:
        if not self.transport.is_closing():
            self._timer = self.loop.call_later(self._timeouts.head, self.transport.abort)

    def _cancel_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
