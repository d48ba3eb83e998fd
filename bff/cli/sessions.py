"""`bff sessions list|show|end` and `bff keys rewrap`: operator access to the session store.

The output identifies sessions and users by fingerprints and shows no token, so it gives access to nothing. `list` and
`show` change nothing.
"""

import argparse
import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeAlias

from bff import from_settings
from bff.config.settings import Settings
from bff.errors import StoreUnavailable
from bff.flows.background import BackgroundTasks
from bff.flows.logout.end_session import EndSession
from bff.flows.logout.end_sessions import EndSessions
from bff.flows.logout.markers import LogoutMarkers
from bff.flows.logout.revocations import REVOKE_TIMEOUT, Revocations
from bff.session.keyring import KeyRing
from bff.session.session import EndReason, Session
from bff.session.store import Found, KeyRemoved, SessionStore, StoredSession
from bff.storage.open import open_store
from bff.telemetry import audit
from bff.telemetry.application import ApplicationTelemetry
from bff.telemetry.audit import AuditEvent
from bff.telemetry.logging import configure_logging
from bff.telemetry.redaction import escape

logger = logging.getLogger(__name__)

OK, STORE_AWAY = 0, 3
TRIES = 5  # attempts to re-encrypt a record that concurrent writes keep changing

ReadSettings: TypeAlias = Callable[[argparse.Namespace], Settings]


def run(arguments: Sequence[str], read_settings: ReadSettings) -> int:
    """`bff sessions ...`. Returns 0, or 3 when the store is unavailable. Raises ConfigurationError."""
    parsed = _parser().parse_args(arguments)
    return _run_work(parsed.work, read_settings(parsed), parsed)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="bff sessions", description="List, show and end sessions.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for name, work, description, required in (
        ("list", _list, "one line per session, newest first", False),
        ("show", _show, "details of a session, without secrets", True),
        ("end", _end, "end sessions, and revoke their refresh tokens at the provider", True),
    ):
        command = commands.add_parser(name, help=description)
        command.set_defaults(work=work)
        chosen = command.add_mutually_exclusive_group(required=required)
        chosen.add_argument("--sub", help="sessions of the user with this subject (`sub`)")
        chosen.add_argument("--email", help="sessions of the user with this e-mail address")
        chosen.add_argument("--sid", help="sessions of this provider session (`sid`)")
        chosen.add_argument(
            "--id", metavar="FINGERPRINT", help=("the session with this fingerprint, as logs and `list` show it")
        )
        chosen.add_argument("--all", action="store_true", help="everybody's")
        if name == "end":
            command.add_argument("--reason", metavar="TEXT", help="a reason for the audit log")
        command.add_argument(
            "--config", metavar="FILE", type=Path, help="path of bff.toml (default: BFF_CONFIG, then ./bff.toml)"
        )
    return parser


def rewrap(settings: Settings) -> int:
    """`bff keys rewrap`. Returns 0, or 3 when the store is unavailable."""
    return _run_work(_rewrap, settings, argparse.Namespace())


@dataclass(frozen=True, slots=True)
class AdminContext:
    settings: Settings
    store: SessionStore
    end_sessions: EndSessions


Work: TypeAlias = Callable[[AdminContext, argparse.Namespace], AsyncIterator[str]]


def _run_work(work: Work, settings: Settings, parsed: argparse.Namespace) -> int:
    configure_logging(settings.telemetry.log_level, settings.telemetry.log_format)

    async def lines() -> None:
        async with _admin_context(settings) as context:
            async for line in work(context, parsed):
                print(escape(line), flush=True)

    try:
        asyncio.run(lines())
    except StoreUnavailable as away:
        logger.error("the session store is unavailable", extra={"why": str(away)})
        return STORE_AWAY
    return OK


@asynccontextmanager
async def _admin_context(settings: Settings) -> AsyncIterator[AdminContext]:
    store = open_store(settings.store.url, KeyRing.from_keys(settings.session.key_ring))
    provider, tasks = from_settings.provider(settings, time.time), BackgroundTasks()
    end_session = EndSession(store, Revocations(store, provider, tasks, settings.provider.issuer), tasks)
    logout_markers = LogoutMarkers(store, settings.sign_in.login_lifetime)
    ApplicationTelemetry(settings.telemetry.audit_subject).bind()
    try:
        yield AdminContext(
            settings, store, EndSessions(store, end_session, logout_markers, tasks, settings.provider.issuer)
        )
    finally:
        # The refresh tokens of ended sessions are still revoked at the provider.
        if late := await tasks.drain(2 * REVOKE_TIMEOUT):
            logger.warning("not every token was revoked; a running bff serve goes on", extra={"count": late})
        await provider.close()
        await store.close()


async def _chosen(context: AdminContext, parsed: argparse.Namespace) -> list[StoredSession]:
    """The stored sessions that the command line selects, newest first."""
    store = context.store
    sessions: list[Session] | None = None
    if parsed.sub is not None:
        sessions = list(await store.find("sub", parsed.sub))
    elif parsed.email is not None:
        sessions = list(await store.find("email", parsed.email))
    elif parsed.sid is not None:
        sessions = list(await store.find("sid", parsed.sid))
    stored_sessions: list[StoredSession]
    if sessions is None:
        stored_sessions = [
            stored async for stored in store.all() if parsed.id is None or _has_fingerprint(stored, parsed.id)
        ]
    else:
        stored_sessions = [await store.get(session.key) for session in sessions]
    return sorted(
        stored_sessions,
        key=lambda stored: stored.session.signed_in_at if isinstance(stored, Found) else 0.0,
        reverse=True,
    )


async def _list(context: AdminContext, parsed: argparse.Namespace) -> AsyncIterator[str]:
    alive = sealed = 0
    for stored in await _chosen(context, parsed):
        if not isinstance(stored, Found):
            sealed += isinstance(stored, KeyRemoved)
            continue
        alive += 1
        session = stored.session
        yield (
            f"{session.fingerprint}  user {session.person}  signed in {_time(session.signed_in_at)}  last seen "
            f"{_time(stored.last_seen_at)}  {session.client or '-'}  {session.address or '-'}"
        )
    yield f"{alive} sessions" + (f", {sealed} encrypted under a key that is not in the ring" if sealed else "")


async def _show(context: AdminContext, parsed: argparse.Namespace) -> AsyncIterator[str]:
    for stored in await _chosen(context, parsed):
        if not isinstance(stored, Found):
            continue
        session = stored.session
        attempt = session.attempt
        idle_ends_at = min(stored.last_seen_at + context.settings.session.idle_timeout, session.ends_at)
        yield f"session {session.fingerprint}"
        for name, value in (
            ("person", session.person),
            ("issuer", session.issuer),
            ("signed in", _time(session.signed_in_at)),
            ("last seen", _time(stored.last_seen_at)),
            ("idle timeout", _time(idle_ends_at)),
            ("ends", _time(session.ends_at)),
            ("client", f"{session.client or '-'}, {session.address or '-'}"),
            ("acr", session.acr or "-"),
            ("scope", session.tokens.scope or "-"),
            ("access token until", _time(session.tokens.usable_until)),
            ("refresh token", "yes" if session.tokens.refresh_token else "no"),
            ("refresh", "none" if attempt is None else f"attempt {attempt.tries} in progress or unanswered"),
            ("renewed", f"refreshed {session.rotation} times"),
            ("encrypted under", "an older key" if stored.older_key else "the newest key"),
        ):
            yield f"  {name}: {value}"


async def _end(context: AdminContext, parsed: argparse.Namespace) -> AsyncIterator[str]:
    ends, reason = context.end_sessions, EndReason.OPERATOR
    if parsed.sub is not None:
        by, count = "sub", len(await ends.of_user("sub", parsed.sub, reason))
    elif parsed.email is not None:
        by, count = "email", len(await ends.of_user("email", parsed.email, reason))
    elif parsed.sid is not None:
        by, count = "sid", len(await ends.of_provider_session(parsed.sid, reason))
    elif parsed.all:
        by, count = "all", await ends.of_everyone(reason)
    else:
        sessions = [stored.session for stored in await _chosen(context, parsed) if isinstance(stored, Found)]
        by, count = "id", len(await ends.these(sessions, reason))
    audit.record(
        AuditEvent.SESSIONS_ENDED_BY_OPERATOR, "operator", selected_by=by, ended=count, why=parsed.reason or ""
    )
    yield f"{count} sessions ended"


async def _rewrap(context: AdminContext, _: argparse.Namespace) -> AsyncIterator[str]:
    """Re-encrypts every record under the newest key.

    Sessions stay usable; a concurrent write re-encrypts the record as well.
    """
    rewrapped = newest = unreadable = left = 0
    async for listed in context.store.all():
        stored: StoredSession = listed
        for _attempt in range(TRIES):
            if not isinstance(stored, Found) or not stored.older_key:
                break
            session = stored.session
            written = await context.store.replace(replace(session, version=session.version + 1), session.version)
            if written.done:
                rewrapped += 1
                break
            stored = await context.store.get(session.key)
        else:
            left += 1
            continue
        newest += isinstance(stored, Found) and not stored.older_key
        unreadable += isinstance(stored, KeyRemoved)
    yield f"{rewrapped} records re-encrypted, {newest} already under the newest key"
    if unreadable:
        yield (
            f"{unreadable} records are encrypted under keys that are not in the ring: add the key, or let the records "
            f"expire"
        )
    if left:
        yield f"{left} records changed too often: run this command again"


def _has_fingerprint(stored: StoredSession, fingerprint: str) -> bool:
    return isinstance(stored, Found) and stored.session.fingerprint == fingerprint


def _time(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
