"""What `bff check` remarks, and what it keeps quiet about."""

import json

import pytest

from bff.config.advice import notes
from bff.config.settings import load_settings
from tests.harness.settings import with_changes

ROUTES = json.dumps([{"prefix": "/api", "upstream": "https://api.internal"}])
PLAIN = json.dumps([{"prefix": "/api", "upstream": "http://api.internal", "allow_http": True}])


def remarked(**changes: str) -> list[str]:
    return notes(load_settings(with_changes(**{"routes": ROUTES, "trusted_proxies": "10.0.0.0/8", **changes})))


def test_an_ordinary_configuration_is_not_remarked_on() -> None:
    assert remarked() == []


@pytest.mark.parametrize(
    ("changes", "remark"),
    [
        ({"scopes": "openid"}, "offline_access"),
        ({"refresh_grace": "0"}, "refresh_grace is 0"),
        ({"refresh_grace": "18"}, "not shorter than refresh_grace"),
        ({"refresh_after_grace": "false"}, "refresh_after_grace is off"),
        ({"public_url": "http://localhost:8080"}, "neither Secure"),
        ({"idle_timeout": "86400", "absolute_timeout": "86400"}, "24 hours"),
        ({"trusted_proxies": ""}, "only limited in total"),
        ({"trusted_proxies": "0.0.0.0/0"}, "trusts every address"),
        ({"routes": "[]"}, "no routes"),
        ({"routes": PLAIN}, "over http"),
        ({"management_listen": "off"}, "no /livez"),
        ({"management_listen": "0.0.0.0:9090"}, "from everywhere"),
    ],
)
def test_what_may_not_be_meant_is_remarked_once(changes: dict[str, str], remark: str) -> None:
    (only,) = remarked(**changes)
    assert remark in only


@pytest.mark.parametrize("changes", [{"public_url": "http://localhost:8080"}, {"sign_in_rate_per_client": "0"}])
def test_nobody_is_told_to_name_proxies_that_there_are_not(changes: dict[str, str]) -> None:
    assert not any("only limited in total" in remark for remark in remarked(trusted_proxies="", **changes))


def test_the_grace_is_remarked_on_exactly_where_the_law_would_be() -> None:
    assert remarked(refresh_grace="19") == []
    assert len(remarked(refresh_grace="18")) == 1
