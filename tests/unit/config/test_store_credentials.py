"""Credentials of a store that may change: a password, or a user name and a password."""

from typing import Any

import pytest
from pydantic import SecretStr, ValidationError

from bff.config.session import StoreSettings
from bff.config.store_credentials import StoreCredentials, parse_store_credentials, store_credentials

REDIS = "rediss://redis.internal:6379"


@pytest.mark.parametrize(
    ("text", "url", "expected"),
    [
        ("pass word:/%", REDIS, StoreCredentials(None, "pass word:/%")),
        ("bff\npassword", REDIS, StoreCredentials("bff", "password")),
        ("bff\r\npassword", REDIS, StoreCredentials("bff", "password")),
        ("password", "rediss://b%40f@redis.internal", StoreCredentials("b@f", "password")),
        ("password", "redis+cluster://bff@a,b:7000", StoreCredentials("bff", "password")),
    ],
)
def test_the_user_name_is_in_the_first_line_or_in_the_url(text: str, url: str, expected: StoreCredentials) -> None:
    settings = StoreSettings(store=url, store_credentials=text)
    assert settings.login == expected == parse_store_credentials(text, url)
    assert "password" not in repr(settings) + repr(expected)


def test_without_the_setting_those_of_the_url_are_fixed() -> None:
    assert StoreSettings(store="redis://bff:hunter2@redis.internal").login is None


@pytest.mark.parametrize(
    "text", ["", "\n", "a\nb\nhunter2", "bff\n\nhunter2", "hunter2\x00", " hunter2", "b ff\nhunter2", REDIS]
)
def test_anything_else_is_refused_without_quoting_it(text: str) -> None:
    with pytest.raises(ValidationError) as refusal:
        StoreSettings(store=REDIS, store_credentials=text)
    assert "hunter2" not in str(refusal.value)


@pytest.mark.parametrize(
    ("url", "text", "problem"),
    [
        ("sqlite:///var/bff.db", "hunter2", "is SQLite"),
        ("redis://:hunter3@redis.internal", "hunter2", "contains a password too"),
        ("redis://bff@redis.internal", "bff\nhunter2", "contains a user name too"),
    ],
)
def test_credentials_are_in_one_place(url: str, text: str, problem: str) -> None:
    with pytest.raises(ValidationError, match=problem) as refusal:
        StoreSettings(store=url, store_credentials=text)
    assert "hunter" not in str(refusal.value)


def test_a_valid_value_is_kept_as_it_is() -> None:
    value: Any = SecretStr("bff\npassword")
    assert store_credentials(value) is value
