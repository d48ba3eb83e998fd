"""The intent of a sign-in, as it is written into `state`."""

import json
from dataclasses import replace
from typing import Any

import pytest

from bff.oidc.authorization import SignInOptions
from bff.session.sign_in_intent import LONGEST, SignInIntent, fits_into_state, read_intent, write_intent

INTENT = SignInIntent(
    return_to="/orders?x=1#y", prompt="login", max_age=0, acr_values=("a", "phr"), idp="0oa1", restarts=1
)


def test_an_intent_is_read_back_and_only_what_differs_from_the_defaults_is_written() -> None:
    assert read_intent(write_intent(INTENT)) == INTENT
    assert json.loads(write_intent(replace(SignInIntent(), restarts=1))) == {"restarts": 1}
    assert write_intent(SignInIntent()) == b""
    assert INTENT.options == SignInOptions("login", 0, ("a", "phr"), idp="0oa1")


@pytest.mark.parametrize("plaintext", [b"[]", b"null", b"{", b"\xff", b'"x"', b""])
def test_what_is_no_json_object_is_no_intent(plaintext: bytes) -> None:
    assert read_intent(plaintext) is None


BAD_FIELDS: dict[str, list[Any]] = {
    "return_to": [1, None],
    "max_age": ["1", True, 1.5],
    "acr_values": ["phr", ["phr", 1], {}],
    "restarts": ["0", []],
    "prompt": [["login"]],
    "idp": [7],
}


@pytest.mark.parametrize("name", BAD_FIELDS)
def test_a_field_of_the_wrong_type_makes_the_intent_invalid(name: str) -> None:
    for value in BAD_FIELDS[name]:
        assert read_intent(json.dumps({"return_to": "/x", name: value}).encode()) is None, value


def test_unknown_fields_of_a_newer_version_are_ignored() -> None:
    assert read_intent(b'{"return_to":"/x","field_of_tomorrow":{"a":1}}') == SignInIntent(return_to="/x")


def test_an_intent_fits_up_to_its_longest_form() -> None:
    room = LONGEST - len(write_intent(SignInIntent(return_to="/x"))) + 1
    assert fits_into_state(SignInIntent(return_to="/" + "x" * room))
    assert not fits_into_state(SignInIntent(return_to="/x" + "x" * room))
