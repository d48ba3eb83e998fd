"""The stored form of a revocation: sealed and bound to its id, with its times and attempts in plain columns."""

import json
from dataclasses import dataclass
from typing import Final

from bff.session.keyring import KeyRing, Opened
from bff.session.revocation import Revocation

PURPOSE: Final = "revocation"


@dataclass(frozen=True, slots=True)
class RevocationRecords:
    ring: KeyRing

    def seal(self, revocation: Revocation) -> bytes:
        content = [revocation.token, revocation.hint, revocation.issuer, revocation.session]
        return self.ring.seal(PURPOSE, json.dumps(content).encode(), revocation.id.encode())

    def open(self, revocation_id: str, until: float, attempts: int, sealed: bytes) -> Revocation | None:
        """None if no key of the ring opens it, or its form is unknown. Never raises."""
        opened = self.ring.open(PURPOSE, sealed, revocation_id.encode())
        if not isinstance(opened, Opened):
            return None
        try:
            token, hint, issuer, session = json.loads(opened.plaintext)
        except (ValueError, TypeError):
            return None
        if hint not in ("refresh_token", "access_token") or not all(
            isinstance(text, str) for text in (token, issuer, session)
        ):
            return None
        return Revocation(revocation_id, token, hint, issuer, session, until, attempts)
