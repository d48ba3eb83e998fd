"""Challenges for DBSC proofs: sealed and timed, so that the server keeps none of them. Pure.

A challenge is opened only for the purpose that it was issued for: one for a refresh registers nothing.
"""

from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from bff.session.keyring import KeyRing, Opened
from bff.session.session import SessionKey

# `authorization` is the value that a registration returns inside its signed proof, beside the challenge.
Purpose: TypeAlias = Literal["device-registration", "device-authorization", "device-refresh"]

MAX_LENGTH: Final = 512  # characters; ours have about 110


@dataclass(frozen=True, slots=True)
class Challenge:
    """For which session it was issued, and when (seconds since the epoch)."""

    key: SessionKey
    issued_at: float

    def is_valid(self, now: float, lifetime: float) -> bool:
        """Also with a clock that is some seconds behind that of the replica that issued it."""
        return now < self.issued_at + lifetime


def seal_challenge(ring: KeyRing, purpose: Purpose, key: SessionKey, now: float) -> str:
    """Different at every call. Raises KeyExhausted."""
    return ring.seal_text(purpose, f"{key} {now:.0f}".encode())


def open_challenge(ring: KeyRing, purpose: Purpose, text: str) -> Challenge | None:
    """None for anything that `seal_challenge` did not return for this purpose, or under a key that was removed."""
    opened = ring.open_text(purpose, text) if len(text) <= MAX_LENGTH else None
    if not isinstance(opened, Opened):
        return None
    key, _, issued_at = opened.plaintext.decode("ascii").partition(" ")
    return Challenge(SessionKey(key), float(issued_at))
