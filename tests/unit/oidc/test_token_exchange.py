"""The forms of token requests for APIs, and what a response to one must be."""

import json
from typing import Any

import pytest

from bff.oidc.form_fields import encode_form, encode_query
from bff.oidc.token import Granted, parse_token_response, refresh_form
from bff.oidc.token_exchange import ACCESS_TOKEN, JWT, TOKEN_EXCHANGE, client_credentials_form, exchange_form

GRANTED = {"access_token": "at", "token_type": "Bearer", "expires_in": 60}


def test_an_exchange_names_the_subject_token_its_type_and_the_audience() -> None:
    assert exchange_form("st", audience="api://orders", scope=("a", "b")) == {
        "grant_type": TOKEN_EXCHANGE,
        "subject_token": "st",
        "subject_token_type": ACCESS_TOKEN,
        "audience": "api://orders",
        "scope": "a b",
    }
    assert "scope" not in exchange_form("st", audience="api://orders")


def test_other_requests() -> None:
    assert client_credentials_form() == {"grant_type": "client_credentials"}
    assert client_credentials_form(("a",), audience="b")["audience"] == "b"
    assert refresh_form("rt") == {"grant_type": "refresh_token", "refresh_token": "rt"}
    assert refresh_form("rt", "urn:a")["resource"] == "urn:a"


def test_a_parameter_may_have_several_values() -> None:
    fields = {"scope": "a b", "resource": ("urn:a", "urn:b&c")}
    assert encode_form(fields) == "scope=a+b&resource=urn%3Aa&resource=urn%3Ab%26c"
    assert encode_query(fields) == "scope=a%20b&resource=urn%3Aa&resource=urn%3Ab%26c"


@pytest.mark.parametrize(
    ("issued", "usable"),
    [(ACCESS_TOKEN, True), (JWT, True), ("urn:ietf:params:oauth:token-type:id_token", False), (1, False)],
)
def test_another_type_of_token_is_not_used_as_an_access_token(issued: Any, usable: bool) -> None:
    answer = parse_token_response(200, {}, json.dumps({**GRANTED, "issued_token_type": issued}).encode(), 0.0)
    assert isinstance(answer, Granted) is usable


def test_a_token_that_is_not_for_the_authorization_header_is_not_used() -> None:
    answer = parse_token_response(200, {}, json.dumps({**GRANTED, "token_type": "N_A"}).encode(), 0.0)
    assert not isinstance(answer, Granted)
