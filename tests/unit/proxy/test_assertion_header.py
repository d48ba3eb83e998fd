"""The header with an identity assertion."""

import pytest

from bff.config.routes import Route
from bff.proxy.assertion_header import assertion_field
from bff.proxy.credentials import UpstreamCredentials
from bff.proxy.headers import PublicOrigin, request_headers, response_headers
from tests.harness.proxy_server import CredentialsOfRequest, User
from tests.harness.routes import a_route

CREDENTIALS: UpstreamCredentials = CredentialsOfRequest(User("access-token"))
INSTEAD = a_route("/api", token={"identity": {"audience": "a"}})
BESIDE = a_route("/api", assertion={"audience": "a"})
RENAMED = a_route("/api", assertion={"audience": "a", "header": "X-Jwt-Assertion"})


def test_it_is_authorization_or_a_header_of_its_own() -> None:
    assert assertion_field(INSTEAD, CREDENTIALS) == (b"authorization", b"Bearer assertion-for-/api")
    assert assertion_field(BESIDE, CREDENTIALS) == (b"x-bff-assertion", b"assertion-for-/api")
    assert assertion_field(RENAMED, CREDENTIALS) == (b"x-jwt-assertion", b"assertion-for-/api")
    assert assertion_field(BESIDE, None) is None
    assert assertion_field(a_route("/api"), CREDENTIALS) is None


@pytest.mark.parametrize("route", [INSTEAD, BESIDE, RENAMED], ids=["instead", "beside", "renamed"])
@pytest.mark.parametrize("signed_in", [True, False])
def test_a_clients_own_copy_never_passes(route: Route, signed_in: bool) -> None:
    names = b"x-bff-assertion x_bff_assertion x.bff.assertion x-jwt-assertion x_jwt_assertion authorization".split()
    found = request_headers(
        [(b"connection", b"x-bff-assertion"), *((name, b"forged") for name in names)],
        route=route,
        origin=PublicOrigin.parse("https://app.example"),
        client_address="203.0.113.9",
        token=None,
        trace=(),
        assertion=assertion_field(route, CREDENTIALS if signed_in else None),
    )
    assert b"forged" not in dict(found).values()
    sent = [name for name, value in found if b"assertion-for-" in value]
    assert sent == ([route.identity.header_name] if signed_in and route.identity else [])


@pytest.mark.parametrize("route", [INSTEAD, BESIDE, RENAMED], ids=["instead", "beside", "renamed"])
def test_an_upstream_that_returns_it_does_not_give_it_to_the_browser(route: Route) -> None:
    field = assertion_field(route, CREDENTIALS)
    assert field is not None
    origin = PublicOrigin.parse("https://app.example")
    found = response_headers(200, [field, (b"x-total", b"1")], route=route, origin=origin, authenticated=True)
    assert field not in found
    assert (b"x-total", b"1") in found
