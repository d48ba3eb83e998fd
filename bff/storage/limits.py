"""How much a store holds at most, in itself and in the memory of this process."""

from dataclasses import dataclass
from typing import Final

from bff.session.revocation import WAITING_LIMIT

CACHE: Final = 72 << 20  # bytes


@dataclass(frozen=True, slots=True)
class StoreLimits:
    """`revocations`: how many wait for the provider. `cache`: bytes of memory for decrypted records."""

    revocations: int = WAITING_LIMIT
    cache: int = CACHE
