"""Which headers are forwarded, dropped, or may be allowed by a route."""

import pytest

from bff.config import request_headers, response_headers
from bff.config.request_headers import Disposition, classify, conflicting_name
from bff.config.response_headers import is_dropped, is_for_shared_caches


@pytest.mark.parametrize(
    ("disposition", "names"),
    [
        (Disposition.FORWARDED, "accept content-type if-none-match range accept-language user-agent"),
        (Disposition.CONSUMED, "host origin cookie connection sec-fetch-site x-forwarded-for"),
        (Disposition.DROPPED, "x-tenant-id x-user-sub accept-a_b content-type.x -accept"),
    ],
)
def test_a_request_header_that_no_route_lists(disposition: Disposition, names: str) -> None:
    for name in names.split():
        assert classify(name.encode()) is disposition, name


def test_a_request_header_that_a_route_may_list() -> None:
    for allowed, names in ((True, "x-tenant-id x-request-id origin"), (False, "authorization cookie host remote-user")):
        for name in names.split():
            assert request_headers.may_be_allowed(name.encode()) is allowed, name
    assert not any(request_headers.may_be_allowed(name) for name in (b"x_tenant", b""))


def test_names_that_a_server_could_confuse() -> None:
    for name, other in (("X-Team", "x_team"), ("x.team", "X-Team"), ("-x-team-", "X--Team")):
        assert conflicting_name(["x-other", name], [other]) == name
    assert conflicting_name(["x-other", "x-team"], ["x-teams"]) is None


@pytest.mark.parametrize(
    ("name", "dropped", "may_be_allowed", "for_caches"),
    [
        ("content-type", False, True, False),
        ("set-cookie", True, False, False),
        ("clear-site-data", True, False, False),
        ("x-bff-forwarded", True, False, False),
        ("access-control-allow-origin", True, False, False),
        ("service-worker-allowed", True, True, False),
        ("server", True, True, False),
        ("content-length", False, False, False),
        ("surrogate-control", False, True, True),
        ("cdn-cache-control", False, True, True),
        ("cloudflare-cdn-cache-control", False, True, True),
        ("cache-control", False, True, False),
    ],
)
def test_a_response_header(name: str, dropped: bool, may_be_allowed: bool, for_caches: bool) -> None:
    encoded = name.encode()
    assert is_dropped(encoded) is dropped
    assert response_headers.may_be_allowed(encoded) is may_be_allowed
    assert is_for_shared_caches(encoded) is for_caches
