"""Fills a store with very many sessions, of which some are in use."""

import asyncio
import time
from pathlib import Path

from bench.world import CLIENT_ID, World
from bff.base64url import decode_base64url
from bff.session.keyring import KeyRing, new_session_id
from bff.session.session import Session, Tokens, User
from bff.storage.open import open_store
from bff.web.session_cookies import seal_session_cookie
from tests.harness.patience import PATIENT_STORES

SESSIONS, BUSY, AT_ONCE = 100_000, 1_000, 500
TOKEN = "x" * 900  # bytes: the typical size of Okta's access and ID tokens


def fill(
    world: World, store_url: str, cookie_name: str, *, sessions: int = SESSIONS, busy: int = BUSY, uniform: bool = True
) -> Path:
    """Stores the sessions. Returns a wrk script that sends the cookies of those in use, as `script` does."""
    cookies = asyncio.run(_fill(world, store_url, cookie_name, sessions, busy))
    world.directory.joinpath("cookies.txt").write_text("\n".join(cookies) + "\n")
    return script(world, uniform=uniform)


def script(world: World, *, uniform: bool) -> Path:
    """A wrk script that sends the cookies of the sessions that `fill` has stored.

    `uniform`: in turn, which no cache likes; otherwise nine of ten requests are for a tenth of them.
    """
    script, listed = world.directory / "cookies.lua", world.directory / "cookies.txt"
    some = "math.random() < 0.9 and math.random(math.ceil(#cookies / 10)) or math.random(#cookies)"
    script.write_text(
        f"local cookies = {{}}\nfor line in io.lines('{listed}') do cookies[#cookies + 1] = line end\nlocal n = 0\n"
        f"request = function()\n  n = {'n % #cookies + 1' if uniform else some}\n"
        "  wrk.headers['Cookie'] = cookies[n]\n  return wrk.format()\nend\n"
    )
    return script


async def _fill(world: World, store_url: str, cookie_name: str, sessions: int, busy: int) -> list[str]:
    key = decode_base64url(world.session_key)
    if key is None:
        raise ValueError("the session key is not base64url")
    ring = KeyRing.from_keys([key])
    store, now, cookies = open_store(store_url, ring, timeouts=PATIENT_STORES), time.time(), []
    try:
        for start in range(0, sessions, AT_ONCE):
            ids = [new_session_id() for _ in range(min(AT_ONCE, sessions - start))]
            if start < busy:
                cookies += [f"{cookie_name}={seal_session_cookie(session_id, ring)}" for session_id in ids]
            await asyncio.gather(
                *(
                    store.create(_session(start + n, session_id.key, now, world.issuer))
                    for n, session_id in enumerate(ids)
                )
            )
    finally:
        await store.close()
    return cookies[:busy]


def _session(number: int, key: str, now: float, issuer: str) -> Session:
    return Session(
        key=key,  # type: ignore[arg-type]
        version=1,
        rotation=0,
        issuer=issuer,
        client_id=CLIENT_ID,
        user=User(f"00u{number:017}", f"person{number}@example.com", {"name": f"Person {number}"}),
        tokens=Tokens(TOKEN, now + 7200, now + 7000, now, f"refresh-{number}", TOKEN, "openid profile"),
        signed_in_at=now,
        ends_at=now + 43_200,
        sid=f"sid{number}",
    )
