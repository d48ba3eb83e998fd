"""Client credentials as providers make them, and what is said of any other."""

import pytest
from pydantic import SecretStr

from bff.config.client_credentials import client_secret
from tests.harness.settings import problems, with_changes


@pytest.mark.parametrize("secret", ["aB3~x.Y_z-", "p$a{b}<c>", "x" * 500, "!#%&'()*+,/:;=?@[]^`|"])
def test_any_visible_ascii_character_may_be_part_of_a_secret(secret: str) -> None:
    assert client_secret(SecretStr(secret)).get_secret_value() == secret


@pytest.mark.parametrize(
    ("secret", "reason"),
    [
        ("canary\u00e9", "outside ASCII, which RFC 6749"),
        ("canary\u2013secret", "outside ASCII, which RFC 6749"),
        ("canary secret", "a blank or a control character"),
        ("${canary}", "is an example"),
        ("client_secret", "is an example"),
    ],
)
def test_an_unusable_secret_is_named_as_what_it_is(secret: str, reason: str) -> None:
    reported = problems(with_changes(client_secret=secret))["BFF_CLIENT_SECRET"]
    assert reason in reported
    assert "canary" not in reported


@pytest.mark.parametrize(("client_id", "reason"), [("{yourClientId}", "placeholder"), ("id\u00e9", "outside ASCII")])
def test_an_unusable_client_id_is_named_as_what_it_is(client_id: str, reason: str) -> None:
    assert reason in problems(with_changes(client_id=client_id))["BFF_CLIENT_ID"]
