"""A URL opens the store that it names."""

from pathlib import Path

import pytest

from bff.errors import ConfigurationError
from bff.session.keyring import KeyRing
from bff.storage.open import open_store
from bff.storage.redis.store import RedisStore
from bff.storage.sqlite.store import SqliteStore


async def test_sqlite_and_redis(ring: KeyRing, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for url, path in ((f"sqlite:///{tmp_path}/a.db", "a.db"), ("sqlite:///b.db", "b.db")):
        store = open_store(url, ring, clock=lambda: 5.0)
        assert isinstance(store, SqliteStore)
        assert await store.now() == 5.0
        assert (tmp_path / path).exists()
        await store.close()
    for scheme in ("redis", "rediss", "redis+cluster"):
        redis = open_store(f"{scheme}://host", ring)
        assert isinstance(redis, RedisStore)
        await redis.close()


@pytest.mark.parametrize(
    "url",
    [
        "redis+unix://a", "memory://", "hunter2", "", "sqlite://", "sqlite:///", "sqlite:bff.db", "sqlite://host/x.db",
        "sqlite:///x.db?hunter2=1", "sqlite:///x.db#hunter2",
    ],
)  # fmt: skip
def test_a_url_that_names_no_store_is_refused_without_repeating_it(url: str, ring: KeyRing) -> None:
    with pytest.raises(ConfigurationError, match="BFF_STORE") as refused:
        open_store(url, ring)
    assert "hunter2" not in str(refused.value)
