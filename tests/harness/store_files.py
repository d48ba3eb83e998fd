"""A store of its own file, with a session that was written before the command under test runs."""

import asyncio

from bff.base64url import decode_base64url
from bff.session.keyring import KeyRing
from bff.session.session import Session
from bff.storage.open import open_store
from tests.harness.settings import KEY


def keep(url: str, session: Session) -> None:
    async def create() -> None:
        store = open_store(url, KeyRing.from_keys([decode_base64url(KEY) or b""]))
        await store.create(session)
        await store.close()

    asyncio.run(create())
