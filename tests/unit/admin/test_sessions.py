"""Sessions as an operator lists, shows, ends and re-encrypts them, in a real SQLite store."""

import asyncio
import hashlib
import json
import logging
import sqlite3
import time
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest

from bff.admin.rewrap import rewrap
from bff.admin.selection import SORTED, Selection
from bff.admin.session_list import JsonFormat, list_sessions, show_sessions
from bff.admin.sessions import end_sessions, open_admin_context
from bff.config.settings import load_settings
from bff.session.device_binding import DeviceBinding
from bff.session.session import EndReason, Session
from bff.session.store import Found, InvalidPosition, all_records
from tests.harness.example_session import a_session, session_of
from tests.harness.settings import KEY, OLD_KEY, with_changes

NOBODY_LISTENS = "http://127.0.0.1:9/oauth2/default"  # ended without the provider


class Admin:
    """Each call opens the store anew, as a command does."""

    def __init__(self, folder: Path) -> None:
        self._store = f"sqlite:///{folder / 'bff.db'}"

    def open(self, keys: str = KEY) -> Any:
        return open_admin_context(
            load_settings(with_changes(store=self._store, issuer=NOBODY_LISTENS, session_keys=keys))
        )

    async def keep(self, *sessions: Session, keys: str = KEY) -> None:
        async with self.open(keys) as context:
            await asyncio.gather(*(context.store.create(session) for session in sessions))

    async def lines(self, command: Any, *arguments: Any, keys: str = KEY, **options: Any) -> list[str]:
        async with self.open(keys) as context, aclosing(command(context, *arguments, **options)) as lines:
            return [line async for line in lines]

    async def records(self, keys: str = KEY) -> list[Any]:
        async with self.open(keys) as context:
            return [stored async for stored in all_records(context.store)]

    async def end_reason(self, session: Session) -> EndReason | None:
        async with self.open() as context:
            reason: EndReason | None = await context.store.get_end_reason(session.key)
            return reason


@pytest.fixture
def admin(tmp_path: Path) -> Admin:
    return Admin(tmp_path)


def session(**changes: Any) -> Session:
    return a_session(time.time(), issuer=NOBODY_LISTENS, **changes)


async def test_the_list_names_no_user_and_contains_no_secret(admin: Admin) -> None:
    first = session(client="Firefox on Linux", address="203.0.113.0/24")
    second = session(signed_in_at=first.signed_in_at - 10)
    await admin.keep(second, first)
    listed = await admin.lines(list_sessions, Selection())
    assert [line.split()[0] for line in listed] == [first.fingerprint, second.fingerprint, "2"]
    assert listed[0].endswith("Firefox on Linux  203.0.113.0/24  device_bound no")
    assert listed[-1] == "2 sessions"
    shown = await admin.lines(show_sessions, Selection("id", first.fingerprint))
    assert shown[0] == f"session {first.fingerprint}"
    assert {"  refresh token: yes", "  encrypted under: the newest key"} <= set(shown)
    printed = "\n".join(listed + shown)
    assert "canary" not in printed.lower()
    assert first.key not in printed
    assert hashlib.sha256(b"handle:" + first.key.encode()).hexdigest()[:20] not in printed


def binding(confirmed_at: float | None) -> DeviceBinding:
    return DeviceBinding({"kty": "EC"}, "ES256", "thumbprint-canary", 1.0, confirmed_at)


@pytest.mark.parametrize(
    ("key", "bound"), [(None, False), (binding(None), False), (binding(2.0), True)], ids=["no key", "unused", "used"]
)
async def test_the_list_and_the_details_show_a_session_that_is_bound_to_a_device(
    admin: Admin, key: DeviceBinding | None, bound: bool
) -> None:
    await admin.keep(session(device_binding=key))
    word = "yes" if bound else "no"
    listed, _ = await admin.lines(list_sessions, Selection())
    assert listed.endswith(f"  device_bound {word}")
    assert f"  device bound: {word}" in await admin.lines(show_sessions, Selection())
    listed, _ = await admin.lines(list_sessions, Selection(), form=JsonFormat())
    assert json.loads(listed)["device_bound"] is bound


async def test_programs_read_an_object_on_each_line_and_the_number_in_the_last(admin: Admin) -> None:
    first = session(client="Firefox on Linux")
    second = session(signed_in_at=first.signed_in_at - 10)
    await admin.keep(second, first)
    *listed, total = map(json.loads, await admin.lines(list_sessions, Selection(), form=JsonFormat(), limit=1))
    assert listed == [
        {
            "session": first.fingerprint,
            "user": first.person,
            "signed_in_at": int(first.signed_in_at),
            "last_seen_at": int(first.signed_in_at),
            "client": "Firefox on Linux",
            "address": None,
            "device_bound": False,
        }
    ]
    assert (total["listed"], total["unreadable"]) == (1, 0)
    rest = await admin.lines(list_sessions, Selection(), form=JsonFormat(), after=total["after"])
    assert [json.loads(line).get("session") for line in rest] == [second.fingerprint, None]
    assert json.loads(rest[-1]) == {"listed": 1, "unreadable": 0, "after": None}


@pytest.mark.parametrize("by", ["sub", "email", "sid", "id"])
async def test_the_selected_sessions_are_ended_and_no_others(
    admin: Admin, by: Any, caplog: pytest.LogCaptureFixture
) -> None:
    selected, other = session(), session()
    await admin.keep(selected, other)
    values = {
        "sub": selected.user.sub,
        "email": str(selected.user.email).upper(),
        "sid": selected.sid,
        "id": selected.fingerprint,
    }
    with caplog.at_level(logging.INFO, "bff.audit"):
        lines = await admin.lines(end_sessions, Selection(by, str(values[by])), "left the company", wait=0)
    assert lines[:2] == ["1 session ended", "0 tokens revoked at the provider"]
    assert lines[2].startswith("2 tokens in the queue")
    assert [session_of(stored) for stored in await admin.records()] == [other]
    assert await admin.end_reason(selected) is EndReason.OPERATOR
    (record,) = [record for record in caplog.records if record.name == "bff.audit" and "why" in vars(record)]
    assert (vars(record)["why"], vars(record)["selected_by"], vars(record)["ended"]) == ("left the company", by, 1)


async def test_all_sessions_are_ended(admin: Admin) -> None:
    await admin.keep(*(session() for _ in range(60)))
    assert (await admin.lines(end_sessions, Selection(), "", wait=0))[0] == "60 sessions ended"
    assert await admin.lines(list_sessions, Selection()) == ["0 sessions"]


async def test_after_a_rewrap_nothing_needs_the_old_key(admin: Admin) -> None:
    await admin.keep(*(session() for _ in range(5)), keys=OLD_KEY)
    await admin.keep(session(), keys=f"{KEY} {OLD_KEY}")
    assert "  encrypted under: an older key" in await admin.lines(show_sessions, Selection(), keys=f"{KEY} {OLD_KEY}")
    lines = await admin.lines(rewrap, keys=f"{KEY} {OLD_KEY}")
    assert lines == ["5 records re-encrypted, 1 already under the newest key"]
    assert all(isinstance(stored, Found) for stored in await admin.records(KEY))
    lines = await admin.lines(rewrap, keys=f"{KEY} {OLD_KEY}")
    assert lines == ["0 records re-encrypted, 6 already under the newest key"]


async def test_records_under_a_removed_key_are_counted_and_kept(admin: Admin) -> None:
    await admin.keep(session(), keys=OLD_KEY)
    _, unreadable = await admin.lines(rewrap)
    assert unreadable.startswith("1 record encrypted under a key that is not in the ring")
    assert await admin.lines(list_sessions, Selection()) == [
        "0 sessions, 1 encrypted under a key that is not in the ring"
    ]
    assert [isinstance(stored, Found) for stored in await admin.records(OLD_KEY)] == [True]


async def test_a_list_is_continued_where_its_limit_ended(admin: Admin) -> None:
    sessions = [session(signed_in_at=float(number)) for number in range(7)]
    await admin.keep(*sessions)
    newest_first = [each.fingerprint for each in reversed(sessions)]
    listed, after = list[str](), ""
    while True:
        *lines, total = await admin.lines(list_sessions, Selection(), limit=3, after=after)
        listed += [line.split()[0] for line in lines]
        if "--after" not in total:
            break
        after = total.rpartition(" ")[2]
    assert listed == newest_first
    assert total == "1 session"
    with pytest.raises(InvalidPosition):
        await admin.lines(list_sessions, Selection(), after="0x7")


async def test_a_long_list_is_printed_while_it_is_read(admin: Admin) -> None:
    await admin.keep(*(session() for _ in range(SORTED + 200)))
    async with admin.open() as context, aclosing(list_sessions(context, Selection())) as lines:
        first = await anext(lines)
        await context.end_sessions.of_everyone(EndReason.OPERATOR)
        rest = [line async for line in lines]
    assert len({first, *rest[:-1]}) == SORTED
    assert rest[-1] == f"{SORTED} sessions"


async def test_a_session_without_an_index_entry_is_found_by_its_fingerprint(admin: Admin, tmp_path: Path) -> None:
    """As those of earlier versions, and those that have ended."""
    earlier, ended, other = session(), session(ends_at=time.time() - 60), session()
    await admin.keep(earlier, ended, other)
    with sqlite3.connect(tmp_path / "bff.db") as connection:
        assert connection.execute("DELETE FROM session_index WHERE name = 'id'").rowcount == 3
    connection.close()
    for each in (earlier, ended):
        shown = await admin.lines(show_sessions, Selection("id", each.fingerprint))
        assert shown[0] == f"session {each.fingerprint}"
    assert await admin.lines(show_sessions, Selection("id", "ffffffff")) == []
    assert (await admin.lines(end_sessions, Selection("id", earlier.fingerprint), "", wait=0))[0] == "1 session ended"
    assert [session_of(stored) for stored in await admin.records()] == [other, ended]
