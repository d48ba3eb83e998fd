"""The session store: reachable, writable and durable?"""

import asyncio
from pathlib import Path

from bff.admin.doctor import redis_server, sqlite_database
from bff.admin.doctor.check_result import CheckResult, fail
from bff.config.settings import Settings
from bff.errors import ConfigurationError
from bff.storage.credentials import ChangingCredentials
from bff.storage.redis.url import parse_redis_url
from bff.storage.timeouts import RedisTimeouts


async def run_checks(settings: Settings, timeouts: RedisTimeouts = redis_server.TIMEOUTS) -> list[CheckResult]:
    scheme, _, rest = settings.store.url.partition("://")
    if scheme == "sqlite":
        return [await asyncio.to_thread(sqlite_database.run_checks, Path(rest.removeprefix("/")))]
    try:
        target = parse_redis_url(settings.store.url)
    except ConfigurationError as error:
        return [fail("store", f"{error.setting}: {error.problem}", error.fix)]
    return await redis_server.run_checks(target, timeouts, ChangingCredentials.of(settings.store.login))
