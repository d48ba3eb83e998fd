"""Connections log in with the newest credentials, and stay logged in when Redis refuses new ones."""

import asyncio
from typing import Any

import pytest
from redis.asyncio import ConnectionPool
from redis.exceptions import AuthenticationError, ResponseError

from bff.config.store_credentials import StoreCredentials
from bff.storage.credentials import ChangingCredentials
from bff.storage.redis.login import RedisLogin, login_of

OLD, NEW = StoreCredentials("bff", "old"), StoreCredentials(None, "new")


class Connection:
    """To a server that accepts `accepted`."""

    def __init__(self, accepted: set[tuple[str, ...]]) -> None:
        self.accepted, self.sent = accepted, list[tuple[str, ...]]()
        self.credential_provider: Any = None

    async def on_connect(self) -> None:
        await self.send_command("AUTH", *self.credential_provider.get_credentials())
        await self.read_response()

    async def send_command(self, *command: str, check_health: bool = True) -> None:
        self.sent.append(command)

    async def read_response(self, disconnect_on_error: bool = True) -> bytes:
        if self.sent[-1][1:] not in self.accepted:
            raise AuthenticationError("WRONGPASS")
        return b"OK"


async def test_a_new_connection_logs_in_and_another_attempt_has_other_credentials() -> None:
    connection = Connection({("bff", "old")})
    credentials = ChangingCredentials(OLD)
    login = RedisLogin(credentials)
    credentials.replace(NEW)
    with pytest.raises(AuthenticationError):
        await login.connect(connection)
    await login.connect(connection)
    assert connection.sent == [("AUTH", "new"), ("AUTH", "bff", "old")]


async def test_an_open_connection_presents_new_credentials_once(caplog: pytest.LogCaptureFixture) -> None:
    connection, credentials = Connection({("bff", "old"), ("new",)}), ChangingCredentials(OLD)
    login = RedisLogin(credentials)
    await login.connect(connection)
    await login.renew(connection)
    assert len(connection.sent) == 1
    credentials.replace(NEW)
    await login.renew(connection)
    await login.renew(connection)
    assert connection.sent == [("AUTH", "bff", "old"), ("AUTH", "new")]
    assert not caplog.records


@pytest.mark.parametrize("error", [AuthenticationError("WRONGPASS"), ResponseError("ERR")])
async def test_a_refusal_is_logged_once_and_leaves_open_connections_as_they_are(
    caplog: pytest.LogCaptureFixture, error: Exception
) -> None:
    credentials = ChangingCredentials(OLD)
    login = RedisLogin(credentials)
    connections = [Connection({("bff", "old")}) for _ in range(3)]
    await asyncio.gather(*map(login.connect, connections))

    async def refuse(disconnect_on_error: bool = True) -> bytes:
        assert not disconnect_on_error
        raise error

    credentials.replace(NEW)
    for connection in connections * 2:
        connection.read_response = refuse  # type: ignore[method-assign]
        await login.renew(connection)
    assert [len(connection.sent) for connection in connections] == [2, 2, 2]
    assert [record.message for record in caplog.records] == ["Redis refused new credentials; open connections go on"]
    assert "new" not in str(caplog.records[0].__dict__["error"])


async def test_only_pools_with_changing_credentials_have_a_login() -> None:
    login = RedisLogin(ChangingCredentials(OLD))
    assert login_of(ConnectionPool(host="redis", **login.options)) is login
    assert login_of(ConnectionPool(host="redis", username="bff", password="old")) is None
