"""A session to put into a store."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import Any
from uuid import uuid4

from bff.errors import StoreUnavailable
from bff.session.keyring import new_session_id
from bff.session.session import ConcurrentSuccessor, RefreshAttempt, Session, Tokens, User
from bff.session.store import Found, SessionStore, StoredSession
from tests.harness.waiting import until


def a_session(now: float = 0.0, **changes: Any) -> Session:
    """A session signed in at `now` with every optional part present. Everything secret in it contains `canary`."""
    tag = uuid4().hex
    session = Session(
        key=new_session_id().key,
        version=1,
        rotation=1,
        issuer="https://example.okta.com",
        client_id="0oa-client",
        user=User(f"00u-canary-{tag}", f"Canary.{tag}@Example.com", {"name": "Zoë Canary", "groups": ["a", "b"]}),
        tokens=Tokens(
            f"access-canary-{tag}", now + 3500, now + 3400, now, f"refresh-canary-{tag}", f"id-canary-{tag}", "openid"
        ),
        signed_in_at=now,
        ends_at=now + 43_200.0,
        attempt=RefreshAttempt(f"attempt-{tag}", 1, now, now + 10.0, denied_at=now),
        concurrent_successor=ConcurrentSuccessor(f"alternate-canary-{tag}", rotation=1, tries=2),
        rejected_token="0123456789abcdef",
        sid=f"sid-canary-{tag}",
        browser=f"browser-canary-{tag}",
        auth_time=now,
        acr="urn:okta:loa:2fa:any",
        amr=["pwd", "mfa"],
        withdrawn_claims=["nickname"],
    )
    return replace(session, **changes)


async def created(store: SessionStore, **changes: Any) -> Session:
    """One that is in the store, signed in now."""
    session = a_session(await store.now(), **changes)
    await store.create(session)
    return session


def next_version(session: Session, **changes: Any) -> Session:
    return replace(session, version=session.version + 1, **changes)


def session_of(stored: StoredSession) -> Session | None:
    """The session of a record that was found."""
    return stored.session if isinstance(stored, Found) else None


def is_under_older_key(stored: StoredSession) -> bool:
    assert isinstance(stored, Found)
    return stored.older_key


async def eventually(attempt: Callable[[], object]) -> object:
    """Repeats what is refused as unavailable, as callers do, until it is done."""
    done: list[object] = []

    async def attempted() -> bool:
        with suppress(StoreUnavailable):
            done.append(await attempt())  # type: ignore[misc]
        return bool(done)

    await until(attempted)
    return done[0]
