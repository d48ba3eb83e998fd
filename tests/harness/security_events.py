"""Security Event Tokens of a transmitter that tests control, and the transmitter in memory."""

import itertools
from collections.abc import Collection, Sequence
from typing import Any, Final

from bff.errors import ProviderUnavailable
from bff.oidc.jwks import KeySet, parse_key_set
from bff.oidc.security_events import CAEP, RISC
from bff.oidc.transmitter import EventStream, PollRequest, PollResponse
from tests.harness.minting import RSA_KEY, jwk, jwks, mint

TRANSMITTER: Final = "https://example.okta.com"
AUDIENCE: Final = "https://app.example.com/auth/security-events"
HEADER: Final = {"alg": "RS256", "kid": "k1", "typ": "secevent+jwt"}
REVOKED: Final = f"{CAEP}session-revoked"
CREDENTIAL: Final = f"{CAEP}credential-change"
DISABLED: Final = f"{RISC}account-disabled"
_NUMBERS = itertools.count(1)


def iss_sub(sub: str, iss: str = TRANSMITTER) -> dict[str, Any]:
    return {"format": "iss_sub", "iss": iss, "sub": sub}


def of_session(sid: str, sub: str, iss: str = TRANSMITTER) -> dict[str, Any]:
    """A complex subject: one session of a user."""
    return {"format": "complex", "user": iss_sub(sub, iss), "session": {"format": "opaque", "id": sid}}


def security_event_token(now: float, events: dict[str, Any], *, key: Any = RSA_KEY, **changes: Any) -> str:
    """A signed token that was issued at `now`. A change to None omits the claim; `header` replaces header members."""
    header = {**HEADER, **changes.pop("header", {})}
    claims = {
        "iss": TRANSMITTER,
        "aud": AUDIENCE,
        "iat": int(now),
        "jti": f"jti-{next(_NUMBERS)}",
        "events": events,
        **changes,
    }
    return mint({name: value for name, value in claims.items() if value is not None}, header, key=key)


class MemoryTransmitter:
    """Implements `bff.oidc.transmitter.SecurityEventTransmitter`. `waiting` are tokens by `jti` until acknowledged."""

    def __init__(self, issuer: str = TRANSMITTER) -> None:
        self._issuer = issuer
        self.down = False
        self.key_sets: list[KeySet] = [parse_key_set(jwks(jwk(RSA_KEY)))]
        self.waiting: dict[str, str] = {}
        self.acknowledged: list[str] = []
        self.refused: dict[str, str] = {}
        self.polls: list[PollRequest] = []
        self.audiences: Sequence[str] = (AUDIENCE,)
        self.critical: Collection[str] = ()

    @property
    def issuer(self) -> str:
        return self._issuer

    async def keys(self, kid: str | None = None) -> KeySet:
        self._respond()
        if kid is not None and len(self.key_sets) > 1:
            del self.key_sets[0]
        return self.key_sets[0]

    async def critical_members(self) -> Collection[str]:
        self._respond()
        return self.critical

    async def stream(self) -> EventStream:
        self._respond()
        return EventStream("stream-1", tuple(self.audiences), f"{self._issuer}/poll", ())

    async def poll(self, request: PollRequest) -> PollResponse:
        self._respond()
        self.polls.append(request)
        for jti in (*request.acknowledged, *request.refused):
            self.waiting.pop(jti, None)
        self.acknowledged += request.acknowledged
        self.refused |= {jti: err for jti, (err, _) in request.refused.items()}
        first = dict(itertools.islice(self.waiting.items(), request.max_events))
        return PollResponse(first, len(self.waiting) > len(first))

    async def close(self) -> None: ...

    def _respond(self) -> None:
        if self.down:
            raise ProviderUnavailable(retry_after=1)
