"""Metrics as docs/metrics.md lists them; no label can identify a user, a session or a token.

A leaf: every package may count. Every label has a short, closed list of values (routes come from the settings), so that
the number of series stays bounded.
"""

import threading
from collections.abc import Iterator
from contextlib import suppress
from typing import Final

import prometheus_client
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.metrics_core import CounterMetricFamily, Metric
from prometheus_client.registry import Collector

from bff import __version__
from bff.session.session import EndReason

# A registry of our own: tests and embedding applications keep their metrics separate.
REGISTRY: Final = CollectorRegistry()


class _Ours(Collector):
    """Our metrics, for the registry of another application."""

    def collect(self) -> Iterator[Metric]:
        return iter(REGISTRY.collect())


_OURS: Final = _Ours()


def join(registry: CollectorRegistry = prometheus_client.REGISTRY) -> None:
    """Adds our metrics to the registry of an application that the BFF is installed in, once for a process."""
    with suppress(ValueError):  # they are there already
        registry.register(_OURS)


INFO: Final = Gauge(
    "bff_info",
    "Always 1; the running version is in the label.",
    ["version"],
    registry=REGISTRY,
)
INFO.labels(version=__version__).set(1)
REFRESH: Final = Counter(
    "bff_refresh",
    "Refresh token requests by outcome; see `bff docs metrics`.",
    ["outcome", "reason"],
    registry=REGISTRY,
)
REFRESH_CALLERS_COALESCED: Final = Counter(
    "bff_refresh_callers_coalesced",
    "Callers that joined a refresh already running in this process.",
    registry=REGISTRY,
)
REFRESH_SECONDS: Final = Histogram(
    "bff_refresh_seconds",
    "Seconds from the reservation of a refresh to its recorded outcome.",
    buckets=(0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1.0, 2.0, 4.0, 6.0, 8.0, 10.0),
    registry=REGISTRY,
)
REFRESH_WAITS: Final = Counter(
    "bff_refresh_waits",
    "Callers that waited for a refresh of this process (local) or of another replica (replica).",
    ["where"],
    registry=REGISTRY,
)
REFRESHES_ALLOWED: Final = Gauge(
    "bff_refreshes_allowed",
    "Refreshes that this process may have at the provider at a time, as adapted to what the provider answers.",
    registry=REGISTRY,
)
REFRESH_REASSERTED: Final = Counter(
    "bff_refresh_reasserted",
    "Refreshed tokens written again because the store had lost them.",
    registry=REGISTRY,
)
STORE_CONFLICTS: Final = Counter(
    "bff_store_conflicts",
    "Writes rejected because the record had changed; each is read and decided again.",
    registry=REGISTRY,
)
STORE_ERRORS: Final = Counter(
    "bff_store_errors",
    "Operations that the session store did not complete in time.",
    registry=REGISTRY,
)
SESSION_CACHE_MISSES: Final = Counter(
    "bff_session_cache_misses",
    "Session records that were decrypted, because they were not cached or had changed.",
    registry=REGISTRY,
)
STORE_OUTAGE_ANSWERS: Final = Counter(
    "bff_store_outage_answers",
    "Requests answered from a record read before, because the session store could not be reached.",
    registry=REGISTRY,
)
STORE_AVAILABLE: Final = Gauge(
    "bff_store_available",
    "Whether the session store could be read and written at the last check (1) or not (0).",
    registry=REGISTRY,
)
SIGN_IN: Final = Counter(
    "bff_sign_in",
    "Sign-ins by outcome.",
    ["outcome"],
    registry=REGISTRY,
)
SESSION_ENDED: Final = Counter(
    "bff_session_ended",
    "Sessions ended, by the reason that /auth/session returns.",
    ["reason"],
    registry=REGISTRY,
)
PROXY_REQUESTS: Final = Counter(
    "bff_proxy_requests",
    "Requests forwarded, by route prefix and status class (1xx is an opened WebSocket).",
    ["route", "status_class"],
    registry=REGISTRY,
)
REQUEST_HEADERS_DROPPED: Final = Counter(
    "bff_request_headers_dropped",
    "Request headers that were not forwarded to the upstream, because neither the BFF's nor the route's list has them.",
    ["route"],
    registry=REGISTRY,
)
API_TOKENS: Final = Counter(
    "bff_api_tokens",
    "Requests for access tokens of APIs, by kind and outcome.",
    ["kind", "outcome"],
    registry=REGISTRY,
)
API_TOKENS_DROPPED: Final = Counter(
    "bff_api_tokens_dropped",
    "Access tokens of APIs that a session record had no space for; they are requested again when needed.",
    registry=REGISTRY,
)
FORBIDDEN_BY_RULE: Final = Counter(
    "bff_forbidden_by_rule",
    "Requests of signed-in users that no access rule allowed, by route prefix.",
    ["route"],
    registry=REGISTRY,
)
DEVICE_BINDING: Final = Counter(
    "bff_device_binding",
    "Device-bound sessions: keys registered, cookies refreshed, proofs refused, and requests without the cookie.",
    ["outcome", "reason"],
    registry=REGISTRY,
)
SIGN_INS_WITHOUT_REFRESH_TOKEN: Final = Counter(
    "bff_sign_ins_without_refresh_token",
    "Sign-ins that requested offline_access and got no refresh token: their sessions end with the access token.",
    registry=REGISTRY,
)
OPEN_STREAMS: Final = Gauge(
    "bff_open_streams",
    "Event streams, WebSockets and other long-lived responses currently open in this process.",
    registry=REGISTRY,
)
STREAMS_CLOSED: Final = Counter(
    "bff_streams_closed",
    "Open streams closed by the BFF.",
    ["reason"],
    registry=REGISTRY,
)
CSRF_REFUSED: Final = Counter(
    "bff_csrf_refused",
    "Requests refused by CSRF protection.",
    registry=REGISTRY,
)
RATE_LIMITED: Final = Counter(
    "bff_rate_limited",
    "Sign-in and sign-out requests refused with 429, by endpoint and by the exhausted rate.",
    ["endpoint", "rate"],
    registry=REGISTRY,
)
PROVIDER_REQUESTS: Final = Counter(
    "bff_provider_requests",
    "Requests to the provider, by endpoint and outcome.",
    ["endpoint", "outcome"],
    registry=REGISTRY,
)
JWKS_FETCHES: Final = Counter(
    "bff_jwks_fetches",
    "Fetches of the provider's signing keys, by outcome.",
    ["outcome"],
    registry=REGISTRY,
)
EVENT_LOOP_LAG: Final = Gauge(
    "bff_event_loop_lag_seconds",
    "Seconds by which the event loop was late, measured every second; the largest of the last minute.",
    registry=REGISTRY,
)
WORKERS: Final = Gauge(
    "bff_workers",
    "Processes that serve requests.",
    registry=REGISTRY,
)
WORKER_RESTARTS: Final = Counter(
    "bff_worker_restarts",
    "Workers that ended by themselves and were started again.",
    registry=REGISTRY,
)


class DroppedRecords(Collector):
    """A counter with a reentrant lock, since a signal handler may log: the library's own would deadlock."""

    def __init__(self) -> None:
        self._lock, self._count = threading.RLock(), 0

    def add(self, count: int) -> None:
        with self._lock:
            self._count += count

    def collect(self) -> Iterator[CounterMetricFamily]:
        meaning = "Log records that were not written, because the pipe was not read or the disk was full."
        yield CounterMetricFamily("bff_log_records_dropped", meaning, value=self._count)


LOG_RECORDS_DROPPED: Final = DroppedRecords()
REGISTRY.register(LOG_RECORDS_DROPPED)
SECURITY_EVENTS: Final = Counter(
    "bff_security_events",
    "Security events of valid tokens, by short name and outcome.",
    ["event", "outcome"],
    registry=REGISTRY,
)
SECURITY_EVENTS_REFUSED: Final = Counter(
    "bff_security_events_refused",
    "Security Event Tokens that were refused, by the error that the transmitter got.",
    ["error"],
    registry=REGISTRY,
)
SECURITY_EVENT_DELAY: Final = Histogram(
    "bff_security_event_delay_seconds",
    "Seconds from the issuance of a Security Event Token to its receipt, by the clocks of both sides.",
    buckets=(0.5, 1.0, 2.0, 5.0, 15.0, 60.0, 300.0, 900.0, 3600.0),
    registry=REGISTRY,
)
SECURITY_EVENT_POLLS: Final = Counter(
    "bff_security_event_polls",
    "Polls of the transmitter of security events, by outcome.",
    ["outcome"],
    registry=REGISTRY,
)
REVOCATIONS: Final = Counter(
    "bff_revocations",
    "Attempts to revoke a token of a session that has ended, by outcome.",
    ["outcome"],
    registry=REGISTRY,
)
REVOCATIONS_WAITING: Final = Gauge(
    "bff_revocations_waiting",
    "Revocations in the queue of the store, as this process saw it last.",
    registry=REGISTRY,
)
JWKS_PRIVATE_KEYS: Final = Counter(
    "bff_jwks_private_keys",
    "Private or symmetric keys seen in the provider's published key set, at each fetch; none of them is used.",
    registry=REGISTRY,
)

# Series used in alerts start at zero: Prometheus sees no increase for a series that first appears with the value one.
for _outcome in ("renewed", "replayed_in_grace", "after_grace", "postponed", "superseded", "revoked_orphan"):
    REFRESH.labels(outcome=_outcome, reason="")
REFRESH.labels(outcome="denied", reason="invalid_client")
for _outcome in ("signed_in", "refused", "failed", "provider_unavailable", "loop"):
    SIGN_IN.labels(outcome=_outcome)
for _outcome in ("revoked", "postponed", "refused", "given_up", "not_queued"):
    REVOCATIONS.labels(outcome=_outcome)
for _reason in EndReason:
    SESSION_ENDED.labels(reason=_reason.value)
for _endpoint in ("code", "refresh"):
    for _outcome in ("granted", "denied", "postponed", "no_answer"):
        PROVIDER_REQUESTS.labels(endpoint=_endpoint, outcome=_outcome)
for _kind in ("exchange", "resource", "client_credentials"):
    for _outcome in ("granted", "refused", "unavailable"):
        API_TOKENS.labels(kind=_kind, outcome=_outcome)
for _outcome in ("fetched", "failed"):
    JWKS_FETCHES.labels(outcome=_outcome)
for _outcome in ("polled", "failed"):
    SECURITY_EVENT_POLLS.labels(outcome=_outcome)
for _outcome in ("paused", "disabled"):
    SECURITY_EVENTS.labels(event="stream-updated", outcome=_outcome)
for _error in ("invalid_request", "invalid_key", "invalid_issuer", "invalid_audience", "authentication_failed"):
    SECURITY_EVENTS_REFUSED.labels(error=_error)
