"""How many requests a minute: for everybody together, and for each client, in memory that no flood makes grow.

Pure: `now` is an argument, in seconds of any clock that never goes back. The rule is GCRA (the "generic cell rate
algorithm", a leaky bucket that needs one number): a minute's worth may come at once, then one after another. What is
refused is not counted, so whoever goes on asking gets the rate that is allowed and no less.
"""

import hashlib
import secrets
from array import array
from dataclasses import dataclass
from typing import Final

MINUTE: Final = 60.0
_ROUNDING: Final = 1e-6  # seconds; thousands of small additions must not cost the last request of a minute


@dataclass(frozen=True, slots=True)
class Rate:
    """`paid_until` is the one number: the time until which what was let through has used the rate up."""

    per_minute: int

    def wait(self, paid_until: float, now: float) -> float:
        """Seconds until one more request fits; 0 if it fits now."""
        ahead = max(paid_until, now) + MINUTE / self.per_minute - now - MINUTE
        return ahead if ahead > _ROUNDING else 0.0

    def after(self, paid_until: float, now: float) -> float:
        """`paid_until` once one more request was let through."""
        return max(paid_until, now) + MINUTE / self.per_minute


class RateForAll:
    """One rate for whoever asks. A rate of 0 limits nothing."""

    def __init__(self, per_minute: int) -> None:
        self._rate = Rate(per_minute) if per_minute else None
        self._paid_until = 0.0

    def wait(self, now: float) -> float:
        """Seconds until one more request fits; 0 if it fits now."""
        return self._rate.wait(self._paid_until, now) if self._rate else 0.0

    def count(self, now: float) -> None:
        if self._rate is not None:
            self._paid_until = self._rate.after(self._paid_until, now)


class RatePerClient:
    """One rate for each client, in a table that never grows and never forgets one client for another.

    A client has one cell in each row, found by a hash that nobody outside can foretell, and the emptiest of its cells
    counts (a count-min sketch). So a client is never let through more often than its rate, whatever others do; and it
    is refused for the sake of others only if all its cells are full by chance. A full cell takes a minute's worth of
    requests that were let through: with a rate for all of F times the rate of a client at most 2 F cells of a row are
    full at any time. With the defaults that is 100 of 8192, and the chance of an honest client is 1 in 40 million.
    """

    ROWS: Final = 4
    CELLS: Final = 8192  # in each row; 256 KiB in all

    def __init__(self, per_minute: int) -> None:
        self._rate = Rate(per_minute) if per_minute else None
        self._secret = secrets.token_bytes(16)
        self._paid_until = array("d", bytes(8 * self.ROWS * self.CELLS))

    def wait(self, client: bytes, now: float) -> float:
        """Seconds until one more request of this client fits; 0 if it fits now."""
        if self._rate is None:
            return 0.0
        return self._rate.wait(min(self._paid_until[cell] for cell in self._cells(client)), now)

    def count(self, client: bytes, now: float) -> None:
        if self._rate is None:
            return
        cells = self._cells(client)
        paid_until = self._rate.after(min(self._paid_until[cell] for cell in cells), now)
        for cell in cells:
            # A cell that others have filled further stays as full: it is theirs too.
            self._paid_until[cell] = max(self._paid_until[cell], paid_until)

    def _cells(self, client: bytes) -> list[int]:
        digest = hashlib.blake2b(client, key=self._secret, digest_size=4 * self.ROWS).digest()
        return [
            row * self.CELLS + int.from_bytes(digest[4 * row : 4 * row + 4], "big") % self.CELLS
            for row in range(self.ROWS)
        ]
