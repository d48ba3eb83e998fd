"""Redis's eviction policy, from `INFO` or `CONFIG`: managed services forbid the latter."""

import re
from collections.abc import Sequence
from typing import Any, Final

from bff.storage.redis.topology import Command

NEVER: Final = "noeviction"
QUERIES: Final[tuple[Command, ...]] = (("INFO", "memory"), ("CONFIG", "GET", "maxmemory-policy"))


def policy_of(servers: Sequence[Sequence[Any]]) -> str | None:
    """From each server's replies to QUERIES: a policy that evicts, None if a server does not report it, or NEVER."""
    policies = [_policy(*replies) for replies in servers]
    evicting = [policy for policy in policies if policy not in (NEVER, None)]
    return evicting[0] if evicting else None if None in policies else NEVER


def _policy(info: Any, config: Any) -> str | None:
    """An error among the replies counts as unknown."""
    if isinstance(info, bytes) and (match := re.search(rb"^maxmemory_policy:([a-z-]+)", info, re.MULTILINE)):
        return match[1].decode()
    if isinstance(config, list) and len(config) == 2 and isinstance(config[1], bytes):
        return config[1].decode("latin-1")
    return None
