"""The composition root: builds every component, connects them, and opens and closes them with the ASGI lifespan."""

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from functools import partial

from starlette.types import ASGIApp, Receive, Scope, Send

from bff.asgi.write_batching import WriteBatch
from bff.components.flows import build_flows
from bff.components.lifespan import Lifespan, Step
from bff.components.ports import Ports
from bff.components.providers import build_providers
from bff.components.readiness import Readiness
from bff.components.runtime import Runtime
from bff.components.security_events import build_security_events
from bff.components.stores import build_stores
from bff.components.timeouts import Timeouts
from bff.components.token_issuers import build_token_issuers
from bff.components.web import build_upstreams, build_web
from bff.config.reload import CREDENTIALS, SettingsReload, Sources
from bff.config.settings import Settings
from bff.flows.background import BackgroundTasks
from bff.session.session import SessionKey
from bff.storage.credentials import ChangingCredentials
from bff.telemetry import audit
from bff.telemetry.application import ApplicationTelemetry, open_tracer
from bff.telemetry.audit import AuditEvent
from bff.web.health import ManagementApp, ReadinessReport
from bff.web.middleware.draining import Draining

logger = logging.getLogger(__name__)


class Application:
    """The ASGI application.

    `management` and `forward_auth` are separate ASGI applications for ports that must not be public.
    """

    def __init__(
        self, settings: Settings, clock: Callable[[], float], sources: Sources | None, timeouts: Timeouts, ports: Ports
    ) -> None:
        """Opens the SQLite database if one is configured.

        Raises ConfigurationError for problems that only wiring reveals.
        """
        tracer = open_tracer(settings.telemetry.tracing, stop_timeout=timeouts.last_spans)
        telemetry = ApplicationTelemetry(settings.telemetry.audit_subject, tracer)
        self.runtime = Runtime(
            settings=settings,
            clock=clock,
            telemetry=telemetry,
            tasks=BackgroundTasks(),
            ports=ports,
        )
        self.public_url = settings.browser.public_url
        self.header_cache = settings.store.header_cache
        self.write_batch = WriteBatch()
        self.store_credentials = ChangingCredentials.of(settings.store.login, self._look)
        self.stores = build_stores(self.runtime, timeouts.store, self.store_credentials)
        self.providers = build_providers(self.runtime, ports)
        self.token_issuers = build_token_issuers(self.runtime, self.providers.main)
        self.flows = build_flows(self.runtime, self.stores, self.providers, self.token_issuers, timeouts.refresh)
        self.upstreams = build_upstreams(self.runtime, self.write_batch, self.flows.sessions.streams)
        self.security_events = build_security_events(
            self.runtime, self.stores, self.providers, self.flows.sessions.end_sessions, ports
        )
        receiver = None if self.security_events is None else self.security_events.receiver
        web = build_web(self.runtime, self.stores, self.flows, self.upstreams, receiver, self.providers.published)
        self.public, self.endpoints = Draining(web.public), web.endpoints
        self.forward_auth = Draining(web.forward_auth)
        self._readiness = Readiness(
            self.runtime, self.stores, self.providers, lambda: self.public.begun, timeouts.readiness
        )
        self.management: ASGIApp = ManagementApp(self._readiness.report)
        poll_interval = timeouts.settings_poll
        self._reload = (
            None if sources is None else SettingsReload(settings, sources, self._apply, poll_interval=poll_interval)
        )
        self.lifespan = Lifespan(
            checks=(self._bind_telemetry, self.stores.eviction.check, partial(self.providers.check, settings)),
            background=self._background(),
            # A running refresh is awaited: cancelling it would leave an unknown outcome for other replicas to resolve.
            closing=(
                self._stop_tracer,
                self.stores.sessions.close,
                self.providers.close,
                self.token_issuers.close,
                self._close_transmitter,
                self._close_upstreams,
                self._drain,
            ),
        )

    async def report(self) -> ReadinessReport:
        """What `/readyz` reports."""
        return await self._readiness.report()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self.lifespan(scope, receive, send)
        else:
            await self.public(scope, receive, send)

    def reload(self) -> None:
        """Reloads session keys and credentials (SIGHUP). Logs any problem and then changes nothing."""
        if self._reload is not None:
            self._reload.reload()

    def _look(self) -> None:
        if self._reload is not None:
            self._reload.look()

    def begin_to_stop(self) -> None:
        """Reports not ready from now on and answers with `Connection: close`, so that proxies use another replica."""
        self.public.begin()
        self.forward_auth.begin()

    def end_streams(self) -> None:
        """Closes event streams and WebSockets, which would otherwise outlast the drain.

        Call it once no new connection is accepted.
        """
        self.flows.sessions.streams.close_for_shutdown()

    async def check_ended(self, keys: Sequence[SessionKey]) -> None:
        """Closes the open streams of those sessions that another worker has ended, without waiting for the next poll.

        Each record is read: the store decides, not the message.
        """
        sessions = self.flows.sessions
        for key in keys:
            if sessions.end_session.recent is not None:
                sessions.end_session.recent.forget(key)
        await sessions.streams.check(keys, sessions.end_session.end)

    def _background(self) -> dict[str, Step]:
        """The background tasks by name; each runs until it is cancelled."""
        sessions, stores = self.flows.sessions, self.stores
        tasks: dict[str, Step] = {
            "refresh early": sessions.refresh.run_early_refreshes,
            "revoke what waits": sessions.revocations.run,
            "check the store": self._readiness.watch,
            "watch the store's eviction policy": stores.eviction.watch,
            "watch open streams": partial(sessions.streams.watch, sessions.end_session.end),
        }
        if self.runtime.siblings is None or self.runtime.siblings.purges:
            tasks["purge expired records"] = stores.purge
        if stores.key_ring_sync is not None:
            tasks["publish the newest key id"] = stores.key_ring_sync.announce
        if self.security_events is not None and self.security_events.polls is not None:
            tasks["poll for security events"] = self.security_events.polls.run
        if self._reload is not None:
            tasks["watch the secret files"] = self._reload.watch
        return tasks

    def _apply(self, settings: Settings, changed: frozenset[str]) -> None:
        """Uses the reloaded keys and credentials. Raises ConfigurationError without any change."""
        self.providers.replace_client_auth(settings)
        self.token_issuers.replace_client_auth(settings)
        self.stores.ring.replace_keys(settings.session.key_ring)
        if self.store_credentials is not None and settings.store.login is not None:
            self.store_credentials.replace(settings.store.login)
        if "session_keys" in changed:
            self.flows.sessions.end_sessions.forget_recent_records()
            audit.record(AuditEvent.KEY_RING_CHANGED, "reload", key_ids=" ".join(self.stores.ring.key_ids))
        if credentials := sorted(changed & CREDENTIALS):
            audit.record(AuditEvent.CLIENT_CREDENTIALS_CHANGED, "reload", changed=" ".join(credentials))

    async def _bind_telemetry(self) -> None:
        self.runtime.telemetry.bind()  # the background tasks inherit it

    async def _stop_tracer(self) -> None:
        if self.runtime.telemetry.tracer is not None:
            await asyncio.to_thread(self.runtime.telemetry.tracer.stop)

    async def _close_upstreams(self) -> None:
        self.upstreams.http.close()

    async def _close_transmitter(self) -> None:
        if self.security_events is not None:
            await self.security_events.transmitter.close()

    async def _drain(self) -> None:
        if late := await self.runtime.tasks.drain(self.runtime.policy.timeout + 2):
            logger.warning("tasks were cancelled at shutdown", extra={"count": late})


def build_app(
    settings: Settings,
    *,
    clock: Callable[[], float] = time.time,
    sources: Sources | None = None,
    timeouts: Timeouts = Timeouts(),
    ports: Ports = Ports(),
) -> Application:
    """Builds everything that `bff serve` runs, from settings alone.

    `clock` is the wall clock, in seconds since the epoch. `sources` is where the settings were read from, so that keys
    and secrets can be reloaded. `ports` take the place of what the settings name. Raises ConfigurationError.
    """
    return Application(settings, clock, sources, timeouts, ports)
