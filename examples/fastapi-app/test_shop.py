"""The shop without Okta and without its APIs: `bff.testing` signs users in, and answers for both."""

import pytest

from bff.testing.client import BffClient
from bff.testing.provider import FakeProvider
from bff.testing.upstreams import FakeUpstreams

ORDERS = [{"id": 1, "total": "9.90"}, {"id": 2, "total": "20.00"}]


@pytest.fixture(autouse=True)
def apis(fake_upstreams: FakeUpstreams) -> None:
    fake_upstreams.respond("orders", "/latest", ORDERS)
    fake_upstreams.respond("profile", "/me", {"city": "Paris"})


def test_the_home_screen_is_one_request(signed_in_client: BffClient, fake_upstreams: FakeUpstreams) -> None:
    home = signed_in_client.get("/screens/home")
    assert home.json() == {"name": "Ann Example", "city": "Paris", "orders": ORDERS}
    assert [request.user["sub"] for request in fake_upstreams.requests("orders") if request.user] == ["user-1"]
    assert fake_upstreams.requests("orders")[0].query == "limit=3"


def test_the_home_screen_works_without_a_profile(signed_in_client: BffClient, fake_upstreams: FakeUpstreams) -> None:
    fake_upstreams.respond("profile", "/me", {"error": "maintenance"}, status=503)
    signed_in_client.get("/screens/home")
    assert signed_in_client.get("/screens/home").json()["city"] is None


def test_a_guest_has_to_sign_in(host_client: BffClient, fake_upstreams: FakeUpstreams) -> None:
    response = host_client.get("/screens/home")
    assert (response.status_code, response.json()["code"]) == (401, "sign_in_required")
    assert fake_upstreams.requests("orders") == []


def test_a_session_outlives_its_access_token(signed_in_client: BffClient, fake_provider: FakeProvider) -> None:
    for _ in range(3):
        fake_provider.advance(1500)
        assert signed_in_client.get("/screens/home").status_code == 200
    assert fake_provider.refreshes > 0


def test_only_staff_adds_notes(host_client: BffClient, fake_upstreams: FakeUpstreams) -> None:
    fake_upstreams.respond("orders", "/2/notes", {"id": 7}, method="POST", status=201)
    note = {"order": 2, "text": "call first"}
    host_client.sign_in(groups=["customers"])
    assert host_client.post("/notes", json=note).json()["code"] == "forbidden_by_rule"
    host_client.sign_in(groups=["staff"])
    assert host_client.post("/notes", json=note).status_code == 201
    assert host_client.post("/notes", json=note, headers={"x-csrf": ""}).json()["code"] == "csrf_required"
    assert [request.json() for request in fake_upstreams.requests("orders")] == [
        {"text": "call first", "author": "user-1"}
    ]


def test_the_documentation_has_the_routes_of_the_shop(host_client: BffClient) -> None:
    assert list(host_client.get("/openapi.json").json()["paths"]) == ["/screens/home", "/notes"]


def test_every_other_path_is_the_single_page_app(host_client: BffClient) -> None:
    assert "<title>Shop</title>" in host_client.navigate("/orders/2").text


def test_after_the_sign_out_there_is_no_session(signed_in_client: BffClient) -> None:
    signed_in_client.sign_out()
    assert signed_in_client.get("/screens/home").status_code == 401
