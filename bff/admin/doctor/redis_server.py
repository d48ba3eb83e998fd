"""A Redis store: reachable, writable and durable? Reads TIME, ROLE, INFO and CONFIG GET; writes nothing.

Managed services forbid CONFIG; INFO suffices. If a user may run neither, the check says what to verify manually.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from redis.asyncio import ConnectionPool
from redis.exceptions import AuthenticationError, NoPermissionError, RedisError

from bff.admin.doctor.check_result import CheckResult, fail, ok, warn
from bff.storage.credentials import ChangingCredentials
from bff.storage.redis.topology import Command, exchange, servers_of
from bff.storage.redis.url import RedisTarget
from bff.storage.timeouts import RedisTimeouts

TIMEOUTS: Final = RedisTimeouts(operation=5.0)
_COMMANDS: Final[tuple[Command, ...]] = (
    ("TIME",),  # a command that the store itself uses; PING is not in the documented ACL
    ("ROLE",),
    ("INFO", "memory"),
    ("INFO", "persistence"),
    ("CONFIG", "GET", "maxmemory-policy"),
    ("CONFIG", "GET", "maxmemory"),
    ("CONFIG", "GET", "appendonly"),
    ("CONFIG", "GET", "appendfsync"),
    ("CONFIG", "GET", "save"),
)
_MANUALLY: Final = "Verify in the service's console: maxmemory-policy noeviction, appendonly yes, at least one replica"


@dataclass(frozen=True, slots=True)
class RedisFacts:
    """What one server reports; None where it did not answer.

    `role` is "master" or another, `replicas` the number of its replicas.
    """

    role: str | None = None
    replicas: int | None = None
    settings: Mapping[str, str] = field(default_factory=dict)


async def run_checks(
    target: RedisTarget, timeouts: RedisTimeouts = TIMEOUTS, credentials: ChangingCredentials | None = None
) -> list[CheckResult]:
    """`timeouts.operation` is for all commands together."""
    servers = servers_of(target, timeouts, credentials)
    try:
        async with asyncio.timeout(timeouts.operation):
            replies = [await exchange(pool, _COMMANDS) for pool in await _pools(servers)]
    except (AuthenticationError, NoPermissionError):
        fix = "Fix user and password in BFF_STORE or BFF_STORE_CREDENTIALS (_FILE), or the server's ACL."
        return [fail("store", f"{_place(target)} rejects the credentials.", fix)]
    except (RedisError, OSError, UnicodeError) as error:
        fix = "Is Redis running and reachable from here? Check host, port, TLS (rediss://) and ca_file in BFF_STORE."
        return [fail("store", f"{_place(target)} cannot be reached ({type(error).__name__}).", fix)]
    finally:
        await servers.close()
    for reply in replies:
        if isinstance(reply[0], Exception):
            fix = (
                "Fix user and password in BFF_STORE or BFF_STORE_CREDENTIALS (_FILE), or wait until the server has "
                "loaded its data."
            )
            return [fail("store", f"{_place(target)} rejects commands ({_code(reply[0])}).", fix)]
    facts = [read_facts(reply) for reply in replies]
    return [reachable(_place(target), facts), eviction(facts), persistence(facts)]


async def _pools(servers: Any) -> list[ConnectionPool]:
    return list(await servers.pools())


def _code(error: Exception) -> str:
    """Redis begins an error with an upper-case code; the rest may quote the command."""
    word = str(error).partition(" ")[0]
    return word if word.isupper() and len(word) < 20 else type(error).__name__


def _place(target: RedisTarget) -> str:
    hosts = ", ".join(f"{host}:{port}" for host, port in target.addresses)
    return f"Redis ({target.topology}) at {hosts}"


def read_facts(replies: list[Any]) -> RedisFacts:
    """The replies to `_COMMANDS`. An error among them (a forbidden command) counts as unknown."""
    role = replies[1] if isinstance(replies[1], list) and replies[1] else None
    settings: dict[str, str] = {}
    for reply in replies[2:]:
        if isinstance(reply, bytes):
            pairs = (line.partition(":")[::2] for line in reply.decode("utf-8", "replace").splitlines())
            settings |= {name.replace("_", "-"): value.strip() for name, value in pairs if value}
        elif isinstance(reply, list) and len(reply) == 2:
            settings[reply[0].decode()] = reply[1].decode("utf-8", "replace")
    if "appendonly" not in settings and (enabled := settings.get("aof-enabled")):
        settings["appendonly"] = "yes" if enabled == "1" else "no"
    if role is None:
        return RedisFacts(settings=settings)
    role_name = role[0].decode()
    return RedisFacts(role_name, len(role[2]) if role_name == "master" else None, settings)


def reachable(place: str, facts: list[RedisFacts]) -> CheckResult:
    if any(server.role not in (None, "master") for server in facts):
        fix = "BFF_STORE must name the master; with redis+sentinel:// the BFF finds the master."
        return fail("store", f"{place} is a replica, which accepts no writes.", fix)
    known = [server.replicas for server in facts if server.replicas is not None]
    replicas = f", replicas: {', '.join(map(str, known))}" if known else ""
    return ok("store", f"{place}: {len(facts)} {'master' if len(facts) == 1 else 'masters'}{replicas}")


def eviction(facts: list[RedisFacts]) -> CheckResult:
    """An evicted record is a session that ends by accident."""
    name = "store_eviction"
    policies = {server.settings.get("maxmemory-policy") for server in facts}
    if None in policies:
        return warn(name, "Redis does not report maxmemory-policy (INFO and CONFIG are forbidden).", f"{_MANUALLY}.")
    wrong = sorted(str(policy) for policy in policies - {"noeviction"})
    if not wrong:
        return ok(name, "maxmemory-policy noeviction")
    fix = "CONFIG SET maxmemory-policy noeviction, and the same in redis.conf; do not share this Redis with other data."
    observed = f"maxmemory-policy is {wrong[0]}"
    if any(server.settings.get("maxmemory", "0") != "0" for server in facts):
        return fail(name, f"{observed}: when memory runs out Redis evicts sessions, and users are signed out.", fix)
    # `bff serve` rejects it too: otherwise a limit set later would cause evictions without an error.
    return fail(name, f"{observed}; nothing is evicted at present, only because no maxmemory is set.", fix)


def persistence(facts: list[RedisFacts]) -> CheckResult:
    """A record restored from an old state holds a refresh token that has already been rotated."""
    name = "store_persistence"
    if any("appendonly" not in server.settings for server in facts):
        observed = "Redis does not report its persistence settings (INFO and CONFIG are forbidden)."
        return warn(name, observed, f"{_MANUALLY}.")
    broken = [server for server in facts if server.settings.get("aof-last-write-status", "ok") != "ok"]
    if broken:
        fix = "Check the Redis log and disk: what is written now is lost at the next restart."
        return fail(name, "Redis could not write to its append-only file.", fix)
    fix = "CONFIG SET appendonly yes, and the same in redis.conf, with appendfsync everysec or always."
    for server in facts:
        if server.settings["appendonly"] != "yes":
            return _without_append_only(server, fix)
    fsync = sorted({server.settings.get("appendfsync", "unknown") for server in facts})
    if "no" in fsync:
        fix = "CONFIG SET appendfsync everysec (or always), and the same in redis.conf."
        return warn(name, "appendfsync is no: a crash of the machine loses up to 30 seconds of writes.", fix)
    return ok(name, f"appendonly yes, appendfsync {', '.join(fsync)}")


def _without_append_only(server: RedisFacts, fix: str) -> CheckResult:
    name = "store_persistence"
    if server.settings.get("save"):
        observed = (
            "Only snapshots (save), no append-only file: a restart restores refresh tokens that have already been "
            "rotated."
        )
        return warn(name, observed, fix)
    if server.replicas:
        return warn(name, "Nothing is written to disk; the data survives only in a replica.", fix)
    if "save" not in server.settings:
        return warn(name, "There is no append-only file, and Redis does not report its snapshot settings.", fix)
    return fail(name, "Nothing is written to disk, and there is no replica: a restart signs every user out.", fix)
