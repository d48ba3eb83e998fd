"""The Lua scripts: one for each write, so that Redis runs it whole or not at all."""

import hashlib
from dataclasses import dataclass
from importlib.resources import files
from typing import Final

from bff.storage.redis.topology import Command


@dataclass(frozen=True, slots=True)
class Script:
    source: bytes
    sha: str

    def command(self, keys: tuple[str, ...], args: tuple[str | bytes | int | float, ...], *, load: bool) -> Command:
        """EVALSHA by digest; with `load` EVAL by text, for a server that does not have the script."""
        name: tuple[str | bytes, ...] = ("EVAL", self.source) if load else ("EVALSHA", self.sha)
        return (*name, len(keys), *keys, *args)


def _script(name: str) -> Script:
    source = (files("bff.storage.redis") / "lua" / f"{name}.lua").read_bytes()
    return Script(source, hashlib.sha1(source, usedforsecurity=False).hexdigest())


GET: Final = _script("get")
CREATE: Final = _script("create")
REPLACE: Final = _script("replace")
REWRAP: Final = _script("rewrap")
TOUCH: Final = _script("touch")
DELETE: Final = _script("delete")
PUT_END_REASON: Final = _script("put_end_reason")
TAKE_END_REASON: Final = _script("take_end_reason")
PUT_MARKER: Final = _script("put_marker")
LEAVE_VALUE: Final = _script("leave_value")
TAKE_VALUE: Final = _script("take_value")
CLAIM_ONCE: Final = _script("claim_once")
REVOCATION_ADD: Final = _script("revocation_add")
REVOCATION_CLAIM: Final = _script("revocation_claim")
REVOCATION_FINISH: Final = _script("revocation_finish")
REVOCATION_POSTPONE: Final = _script("revocation_postpone")
INDEX_ADD: Final = _script("index_add")
INDEX_DROP: Final = _script("index_drop")
