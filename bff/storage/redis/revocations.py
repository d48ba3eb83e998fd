"""The revocation queue in Redis: due times and turns in sorted sets, records in a hash, all in one slot."""

from collections.abc import Sequence
from typing import Any

from bff.errors import StoreUnavailable
from bff.session.keyring import KeyRing
from bff.session.revocation import MAX_WAIT, TURN, Revocation
from bff.storage.redis import scripts
from bff.storage.redis.call import Call
from bff.storage.redis.client import RedisLink
from bff.storage.revocation_record import RevocationRecords


class RedisRevocations:
    """A RevocationQueue (bff/session/revocation.py) of at most `limit`."""

    def __init__(self, link: RedisLink, ring: KeyRing, prefix: str, *, limit: int) -> None:
        self._link, self._records, self._limit = link, RevocationRecords(ring), limit
        self._keys = tuple(f"{prefix}{{revocation}}:{part}" for part in ("due", "record", "turns"))

    async def add(self, *revocations: Revocation) -> int:
        args: list[str | bytes | int] = [self._limit]
        for revocation in revocations:
            args += [
                revocation.id,
                int(revocation.until * 1000),
                int(revocation.turn * TURN * 1000),
                self._records.seal(revocation),
            ]
        return int(await self._call(scripts.REVOCATION_ADD, *args))

    async def claim(self, count: int, lease: float) -> Sequence[Revocation]:
        reply = await self._call(scripts.REVOCATION_CLAIM, count, int(lease * 1000))
        claimed = []
        try:
            for name, until, attempts, record in zip(reply[::4], reply[1::4], reply[2::4], reply[3::4], strict=True):
                revocation = self._records.open(name.decode(), int(until) / 1000, int(attempts), record)
                if revocation is None:  # sealed under a key that only another replica has
                    await self.postpone(name.decode(), MAX_WAIT)
                else:
                    claimed.append(revocation)
        except (TypeError, ValueError, AttributeError):
            raise StoreUnavailable("Redis returned an unexpected reply.", retry_after=1) from None
        return claimed

    async def finish(self, revocation_id: str) -> None:
        await self._call(scripts.REVOCATION_FINISH, revocation_id)

    async def postpone(self, revocation_id: str, seconds: float) -> None:
        await self._call(scripts.REVOCATION_POSTPONE, revocation_id, int(seconds * 1000))

    async def waiting(self) -> int:
        return int(await self._link.ask(Call(self._keys[0], None, args=("ZCARD", self._keys[0]), write=False)))

    async def _call(self, script: scripts.Script, *args: str | bytes | int) -> Any:
        return await self._link.ask(Call(self._keys[0], script, keys=self._keys, args=args))
