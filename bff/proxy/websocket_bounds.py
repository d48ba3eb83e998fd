"""Limits what a WebSocket peer can make us buffer: pongs that it does not read, and the fragments of a message (RFC
6455). The library sends a pong for each ping, and limits a message in bytes but not in fragments, of which an empty one
uses memory too.
"""

from typing import Final

from websockets.exceptions import PayloadTooBig
from websockets.frames import CloseCode, Frame, Opcode
from websockets.protocol import Protocol, State

MAX_FRAGMENTS: Final = 4096  # of one message


class BoundedProtocol(Protocol):
    """Mixed into `ClientProtocol` and `ServerProtocol`, before them.

    The connection sets `writing_paused` while its peer applies back-pressure. Then only the most recent ping is kept,
    and its pong is sent later (RFC 6455 section 5.5.3).
    """

    writing_paused = False
    _unanswered: bytes | None = None
    _fragments = 0

    def recv_frame(self, frame: Frame) -> None:
        """Handles a frame.

        Raises PayloadTooBig, for which `parse` closes with 1009, for a message in too many fragments.
        """
        if frame.opcode is Opcode.PING and self.writing_paused:
            self._unanswered = bytes(frame.data)
            return
        if frame.opcode is Opcode.CONT:
            self._fragments += 1
            if self._fragments > MAX_FRAGMENTS:
                raise PayloadTooBig(None, self.max_message_size or 0)
        elif frame.opcode in (Opcode.TEXT, Opcode.BINARY):
            self._fragments = 1
        super().recv_frame(frame)

    def resume_writing(self) -> None:
        """The peer reads again. Call `data_to_send` after it."""
        self.writing_paused = False
        data, self._unanswered = self._unanswered, None
        if data is not None and self.state is State.OPEN:
            self.send_pong(data)

    def fail(self, code: CloseCode | int, reason: str = "") -> None:
        """As the library does, with the documented reason instead of the sizes."""
        super().fail(code, "message too big" if code == CloseCode.MESSAGE_TOO_BIG else reason)
