"""Logs connections to Redis in with credentials that change.

A new connection takes the newest, and an open one presents them before its next command. A refusal leaves an open
connection logged in as it was.
"""

import asyncio
import logging
from typing import Any, Final
from weakref import WeakKeyDictionary

from redis.asyncio import ConnectionPool
from redis.credentials import CredentialProvider, UsernamePasswordCredentialProvider
from redis.exceptions import AuthenticationError, ResponseError

from bff.config.store_credentials import StoreCredentials
from bff.storage.credentials import ChangingCredentials

logger = logging.getLogger(__name__)

_OPTION: Final = "credential_provider"  # of a pool


class RedisLogin(CredentialProvider):
    """One for all connections of a store."""

    def __init__(self, credentials: ChangingCredentials) -> None:
        self._credentials = credentials
        self._presented: WeakKeyDictionary[Any, StoreCredentials] = WeakKeyDictionary()
        self._reported: StoreCredentials | None = None

    @property
    def options(self) -> dict[str, Any]:
        """For the pool of connections that log in in this way."""
        return {_OPTION: self, "redis_connect_func": self.connect}

    async def connect(self, connection: Any) -> None:
        """Logs a new connection in. Raises AuthenticationError if Redis refuses; another attempt may succeed."""
        clock = asyncio.get_running_loop().time
        chosen = self._credentials.choose(clock())
        connection.credential_provider = UsernamePasswordCredentialProvider(chosen.username, chosen.password)
        try:
            await connection.on_connect()
        except AuthenticationError:
            self._credentials.refused(chosen, clock())
            raise
        self._presented[connection] = chosen

    async def renew(self, connection: Any) -> None:
        """Presents the current credentials on an open connection that logged in with others."""
        current = self._credentials.current
        if self._presented.get(connection) == current:
            return
        username = () if current.username is None else (current.username,)
        await connection.send_command("AUTH", *username, current.password, check_health=False)
        try:
            await connection.read_response(disconnect_on_error=False)
        except (AuthenticationError, ResponseError) as error:
            self._report(current, error)
        self._presented[connection] = current  # once: the same ones would be refused again

    def _report(self, credentials: StoreCredentials, error: Exception) -> None:
        if credentials != self._reported:
            self._reported = credentials
            name = type(error).__name__
            logger.warning("Redis refused new credentials; open connections go on", extra={"error": name})


def login_of(pool: ConnectionPool) -> RedisLogin | None:
    """The login of a pool whose credentials may change."""
    login = pool.connection_kwargs.get(_OPTION)
    return login if isinstance(login, RedisLogin) else None
