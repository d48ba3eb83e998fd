"""The flows of one application, connected as `bff.components.flows` does, over a store and a provider in memory."""

import asyncio
from dataclasses import replace
from typing import Any

from bff.config.settings import load_settings
from bff.flows.background import BackgroundTasks
from bff.flows.establish_session import EstablishSession
from bff.flows.id_tokens import IdTokenValidator
from bff.flows.logout.end_session import EndSession
from bff.flows.logout.end_sessions import EndSessions
from bff.flows.logout.markers import LogoutMarkers
from bff.flows.logout.revocations import Revocations
from bff.flows.recent_records import RecentRecords
from bff.flows.refresh.attempt import RefreshAttempts
from bff.flows.refresh.flow import RefreshTokenFlow
from bff.flows.refresh.outcome import RefreshOutcomes
from bff.flows.refresh.reservation import Reservations
from bff.flows.refresh.timing import RefreshTimeouts, RefreshTiming
from bff.flows.streams import OpenStreams
from bff.session.keyring import KeyRing, new_key
from bff.session.session import EndReason, Session, SessionKey
from bff.session.stream_end import StreamEnd
from bff.session.timing import RefreshPolicy
from tests.harness.example_session import a_session, session_of
from tests.harness.memory_store import MemoryData, MemoryStore
from tests.harness.minting import CLIENT_ID, ISSUER, good_claims, mint
from tests.harness.policy import Policy
from tests.harness.scripted_provider import ScriptedProvider
from tests.harness.settings import with_changes

START = 1_000_000_000.0  # the store's time when the loop's is 0
POLICY = Policy()
LIFETIME = 3400.0  # seconds until the tokens of `signed_in` are due


class Parts:
    def __init__(
        self,
        *,
        policy: RefreshPolicy = POLICY,
        timeouts: RefreshTimeouts | None = None,
        concurrency: int = 50,
        beside: "Parts | None" = None,
        provider: ScriptedProvider | None = None,
        outage_grace: float = 0.0,
        **changes: str,
    ) -> None:
        """`beside`: another replica with the same store and provider. `changes` are settings."""
        loop = asyncio.get_running_loop()
        self.data: MemoryData = beside.data if beside else MemoryData(clock=lambda: START + loop.time())
        self.provider: ScriptedProvider = beside.provider if beside else provider or ScriptedProvider()
        self.ring: KeyRing = beside.ring if beside else KeyRing.from_keys([new_key()])
        self.settings = load_settings(with_changes(**{"issuer": ISSUER, "client_id": CLIENT_ID, **changes}))
        self.store, self.tasks = MemoryStore(self.data, self.ring), BackgroundTasks()
        self.announced: list[SessionKey] = []
        self.streams = OpenStreams(self.store, policy, monotonic=loop.time, announce=self.announced.append)
        self.revocations = Revocations(self.store, self.provider, self.tasks, ISSUER)
        recent = RecentRecords(outage_grace, policy, monotonic=loop.time) if outage_grace else None
        self.end_session = EndSession(self.store, self.revocations, self.tasks, streams=self.streams, recent=recent)
        self.markers = LogoutMarkers(self.store, 600.0)
        self.end_sessions = EndSessions(self.store, self.end_session, self.markers, self.tasks, ISSUER)
        self.establish = EstablishSession(
            self.store, self.end_session, self.markers, self.streams, self.settings.provider
        )
        self.id_tokens = IdTokenValidator(self.provider, self.settings)
        self.timing = RefreshTiming(policy, loop.time, timeouts or RefreshTimeouts())
        self.reservations = Reservations(self.store, self.timing)
        self.outcomes = RefreshOutcomes(
            self.store, self.id_tokens, self.end_session, self.timing, self.settings.provider
        )
        self.attempts = RefreshAttempts(
            self.reservations, self.provider, self.outcomes, self.timing, concurrency=concurrency
        )
        self.refresh = RefreshTokenFlow(self.store, self.attempts, self.end_session, self.tasks, self.timing)

    @property
    def now(self) -> float:
        return self.data.clock()

    async def signed_in(self, **changes: Any) -> Session:
        """A stored session without any attempt; its tokens are due after `LIFETIME`."""
        bare: dict[str, Any] = dict.fromkeys(("attempt", "concurrent_successor", "rejected_token", "auth_time"))
        session = a_session(self.now, issuer=ISSUER, **{**bare, **changes})
        await self.store.create(session)
        return session

    async def expired(self, **changes: Any) -> Session:
        """As `signed_in`, with an access token that has run out."""
        session = await self.signed_in()
        tokens = replace(session.tokens, usable_until=self.now - 1, refresh_at=self.now - 100)
        session = replace(session, version=2, tokens=tokens, **changes)
        await self.store.replace(session, 1)
        return session

    async def stored(self, session: Session) -> Session | None:
        return session_of(await self.store.get(session.key))

    async def end_reason(self, session: Session) -> EndReason | None:
        return await self.store.get_end_reason(session.key)

    async def settled(self) -> None:
        """Returns when every background task is over."""
        assert await self.tasks.drain(3600) == 0

    def id_token(self, **changes: Any) -> str:
        now = int(self.now)
        return mint(good_claims(**{"iat": now, "exp": now + 3600, "auth_time": now, **changes}))


class Ends(list[StreamEnd]):
    """What a stream was closed with."""

    def __call__(self, end: StreamEnd) -> None:
        self.append(end)
