"""The advice of `bff check`, and for what there is none."""

import json

import pytest

from bff.config.advice import notes
from bff.config.settings import load_settings
from tests.harness.settings import with_changes

ROUTES = json.dumps([{"prefix": "/api", "upstream": "https://api.internal"}])
PLAIN = json.dumps([{"prefix": "/api", "upstream": "http://api.internal", "allow_http": True}])


EXCHANGE = json.dumps(
    [{"prefix": "/api", "upstream": "https://api.internal", "token": {"exchange": {"audience": "api://orders"}}}]
)


def advice(**changes: str) -> list[str]:
    return notes(load_settings(with_changes(**{"routes": ROUTES, "trusted_proxies": "10.0.0.0/8", **changes})))


def test_there_is_no_advice_for_an_ordinary_configuration() -> None:
    assert advice() == []


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"issuer": "https://example.okta.com/oauth2/default/"}, "probably https://example.okta.com/oauth2/default."),
        ({"scopes": "openid"}, "offline_access"),
        ({"refresh_grace": "0"}, "refresh_grace is 0"),
        ({"refresh_grace": "18"}, "not shorter than refresh_grace"),
        ({"refresh_after_grace": "false"}, "refresh_after_grace is off"),
        ({"public_url": "http://localhost:8080"}, "neither Secure"),
        ({"idle_timeout": "86400", "absolute_timeout": "86400"}, "24 hours"),
        ({"trusted_proxies": ""}, "only limited in total"),
        ({"trusted_proxies": "0.0.0.0/0"}, "trusts every address"),
        ({"security_events": "push"}, "the signature alone"),
        ({"routes": "[]"}, "no routes"),
        ({"routes": PLAIN}, "over http"),
        ({"routes": EXCHANGE}, 'client = "service"'),
        ({"management_listen": "off"}, "no /livez"),
        ({"management_listen": "0.0.0.0:9090"}, "from everywhere"),
    ],
)
def test_what_is_probably_not_intended(changes: dict[str, str], text: str) -> None:
    (only,) = advice(**changes)
    assert text in only


def test_only_okta_has_no_issuers_with_a_slash() -> None:
    assert advice(issuer="https://tenant.eu.auth0.com/") == []


@pytest.mark.parametrize("changes", [{"public_url": "http://localhost:8080"}, {"sign_in_rate_per_client": "0"}])
def test_proxies_are_not_asked_for_where_they_make_no_difference(changes: dict[str, str]) -> None:
    assert not any("only limited in total" in text for text in advice(trusted_proxies="", **changes))


def test_the_grace_must_exceed_lease_and_timeout() -> None:
    assert [len(advice(refresh_grace=grace)) for grace in ("19", "18")] == [0, 1]


RULES = [{"groups_any": ["ops"]}]
GUARDED = {"prefix": "/api/admin", "upstream": "https://api.internal", "allow": RULES}


@pytest.mark.parametrize(
    ("other", "around"),
    [
        ({"prefix": "/api"}, False),  # the longer prefix wins, in every spelling
        ({"prefix": "/api/admin/open"}, False),  # a route inside it, on purpose
        ({"prefix": "/other"}, False),
        ({"prefix": "/old", "strip_prefix": True}, True),  # /old/api/admin
        ({"prefix": "/old", "strip_prefix": True, "upstream": "https://api.internal/api"}, True),
        ({"prefix": "/old", "strip_prefix": True, "upstream": "https://api.internal/api/admin/audit"}, True),
        ({"prefix": "/old", "strip_prefix": True, "upstream": "https://api.internal/api/admins"}, False),
        ({"prefix": "/old", "strip_prefix": True, "upstream": "https://another.internal"}, False),
        ({"prefix": "/old", "strip_prefix": True, "allow": RULES}, False),
        ({"prefix": "/old", "strip_prefix": True, "allow": [{"acr": ["phr"]}]}, True),
    ],
)
def test_another_way_to_the_paths_that_rules_protect(other: dict[str, object], around: bool) -> None:
    other = {"upstream": "https://api.internal", **other}
    found = [text for text in advice(routes=json.dumps([GUARDED, other])) if "without the rules of" in text]
    assert [text.split(" leads to ")[0] for text in found if "rules of /api/admin" in text] == (
        [f"routes: {other['prefix']}"] if around else []
    )
