"""One replica: the real flow, wired as bff/app.py wires it, in a process that can be stopped, drained and killed."""

import asyncio
from collections.abc import Coroutine
from contextvars import copy_context
from itertools import count
from random import Random
from typing import Any

from bff.config.settings import load_settings
from bff.flows.api_tokens.api_access import TokenIssuers
from bff.flows.api_tokens.audience_tokens import AudienceTokens
from bff.flows.api_tokens.exchange_request import ExchangeRequests
from bff.flows.background import BackgroundTasks
from bff.flows.id_tokens import IdTokenValidator
from bff.flows.logout.end_session import EndSession
from bff.flows.logout.revocations import Revocations
from bff.flows.refresh.attempt import RefreshAttempts
from bff.flows.refresh.flow import RefreshTokenFlow
from bff.flows.refresh.outcome import RefreshOutcomes
from bff.flows.refresh.reservation import Reservations
from bff.flows.refresh.timing import RefreshTiming
from bff.session.keyring import KeyRing
from tests.harness.settings import with_changes
from tests.proof.simulation.database import Database
from tests.proof.simulation.faults import Faults
from tests.proof.simulation.invariants import Invariants
from tests.proof.simulation.loop import OUTSIDE, PROCESS, Process, SimulatedLoop
from tests.proof.simulation.provider import CLIENT_ID, ISSUER, SimulatedProvider, TokenEndpoint
from tests.proof.simulation.scenario import Scenario
from tests.proof.simulation.store import SimulatedStore

SETTINGS = load_settings(
    with_changes(issuer=ISSUER, client_id=CLIENT_ID, id_token_algorithms="ES256", user_claims="sub name")
)


class Replica:
    def __init__(
        self,
        name: str,
        database: Database,
        endpoint: TokenEndpoint,
        ring: KeyRing,
        faults: Faults,
        scenario: Scenario,
        invariants: Invariants,
        random: Random,
    ) -> None:
        self.process = Process(name)
        self.ring = ring
        self._loop: SimulatedLoop = invariants.loop
        self._invariants, self._mix = invariants, scenario
        self._context = OUTSIDE.run(copy_context)
        self._context.run(PROCESS.set, self.process)
        store = SimulatedStore(database, ring, faults, random, self.process)
        provider = SimulatedProvider(endpoint, faults, invariants, self.process)
        self.tasks = BackgroundTasks()
        # Each host's clock stands where it likes: no decision may depend on it.
        stands_at = random.uniform(0, 1e6)
        numbers = count(1)

        def monotonic() -> float:
            return stands_at + self._loop.time()

        self.revocations = Revocations(store, provider, self.tasks, ISSUER)
        self.end_session = EndSession(store, self.revocations, self.tasks)
        timing = RefreshTiming(scenario.policy, monotonic)
        attempts = RefreshAttempts(
            Reservations(store, timing, new_attempt_id=lambda: f"{name}-{next(numbers)}"),
            provider,
            RefreshOutcomes(store, IdTokenValidator(provider, SETTINGS), self.end_session, timing, SETTINGS.provider),
            timing,
            concurrency=scenario.concurrency,
        )
        self.flow = RefreshTokenFlow(store, attempts, self.end_session, self.tasks, timing)
        issuers = TokenIssuers({(ISSUER, "service"): provider}, ISSUER)
        exchanges = ExchangeRequests(store, issuers, self.flow, self.revocations, timing)
        self.audiences = AudienceTokens(store, exchanges, self.flow, self.tasks, timing)
        self._standing = [self.run(self.flow.run_early_refreshes()), self.run(self.revocations.run())]

    def run(self, work: Coroutine[Any, Any, Any]) -> "asyncio.Task[Any]":
        """Starts a task that belongs to this process, as the server does for each request."""
        return self._loop.create_task(work, context=self._context)

    def crash(self) -> None:
        """SIGKILL."""
        self.process.kill(self._loop.time())
        self._invariants.gone(self.process, "a crash")

    async def drain(self) -> None:
        """SIGTERM, as `Application._stop` answers it; then the process is gone."""
        self.process.draining = True

        async def stop() -> None:
            for task in self._standing:
                task.cancel()
            self._invariants.counts["tasks cut off by a drain"] += await self.tasks.drain(self._mix.policy.timeout + 2)
            self.process.kill(self._loop.time())

        self.run(stop())
        while not self.process.dead:
            await asyncio.sleep(0.05)
        self._invariants.gone(self.process, "cut off by a drain")
