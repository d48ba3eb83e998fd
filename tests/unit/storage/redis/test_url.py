"""Which URLs name which servers, and which are refused."""

import pytest

from bff.errors import ConfigurationError
from bff.storage.redis.url import RedisTarget, parse_redis_url


@pytest.mark.parametrize(
    ("url", "target"),
    [
        ("redis://cache", RedisTarget("server", (("cache", 6379),))),
        ("redis://cache:7000/3", RedisTarget("server", (("cache", 7000),), db=3)),
        ("rediss://:p%40ss@cache/0", RedisTarget("server", (("cache", 6379),), tls=True, password="p@ss")),
        ("redis://me:p:w@[::1]:7000", RedisTarget("server", (("::1", 7000),), username="me", password="p:w")),
        ("redis+sentinel://a,b:1/svc", RedisTarget("sentinel", (("a", 26379), ("b", 1)), service="svc")),
        ("rediss+sentinel://a/svc/2", RedisTarget("sentinel", (("a", 26379),), tls=True, service="svc", db=2)),
        ("redis+cluster://a,b:1,[::2]:3", RedisTarget("cluster", (("a", 6379), ("b", 1), ("::2", 3)))),
        ("redis://a?prefix=x:", RedisTarget("server", (("a", 6379),), options={"prefix": "x:"})),
    ],
)
def test_a_url_names_its_servers(url: str, target: RedisTarget) -> None:
    assert parse_redis_url(url) == target


@pytest.mark.parametrize(
    "url",
    [
        "redis://", "redis:///0", "redis://a,b", "redis://a/x", "redis://a/1/2", "redis://a:99999", "redis://a:x",
        "redis+cluster://a/1", "redis+sentinel://a", "redis+sentinel://a/svc/x", "redis://a?frobnicate=1",
        "redis://me:hunter2@a?x", "redis://a?prefix={x}", "redis://[::1",
    ],
)  # fmt: skip
def test_a_url_that_names_no_servers_is_refused_without_repeating_it(url: str) -> None:
    with pytest.raises(ConfigurationError, match="BFF_STORE") as refusal:
        parse_redis_url(url)
    assert "hunter2" not in str(refusal.value)


def test_the_password_is_not_shown() -> None:
    assert "hunter" not in repr(parse_redis_url("redis+sentinel://me:hunter2@a/svc?sentinel_password=hunter3"))
