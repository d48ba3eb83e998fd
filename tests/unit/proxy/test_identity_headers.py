"""Claims as header values, and the headers of a route."""

from typing import Any
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bff.proxy.identity_headers import VALUE_LIMIT, field_value, identity_fields


@pytest.mark.parametrize(
    ("claim", "value"),
    [
        (None, b""),
        (True, b"true"),
        (7, b"7"),
        ("a b", b"a b"),
        (" a  b", b"%20a%20%20b"),
        ("100%\r\nX: y", b"100%25%0D%0AX: y"),
        ("Zoë", b"Zo%C3%AB"),
        (["a,b", "c", {}], b"a%2Cb,c"),
        (["a b", " c", "d%"], b"a b,%20c,d%25"),
        (["a", " b"], b"a,%20b"),
        (["a ", "b"], b"a%20,b"),
        (["a,", "b"], b"a%2C,b"),
        (["a", "", "b"], b"a,,b"),
        ([True, 7, 0.5], b"true,7,0.5"),
        ([], b""),
        ("\x00\x85\u2028", b"%00%C2%85%E2%80%A8"),
        ("\ud800", b""),  # half a surrogate pair
        ({"a": 1}, b""),
        ("a" * 4096, b"a" * 4096),
        ("a" * 4097, b""),
    ],
    ids=lambda value: repr(value)[:20],
)
def test_a_claim_becomes_one_header_value(claim: Any, value: bytes) -> None:
    assert field_value(claim) == value


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | st.text(), st.lists, max_leaves=8))
def test_a_value_is_one_line_that_no_parser_changes(claim: Any) -> None:
    value = field_value(claim)
    assert len(value) <= VALUE_LIMIT
    assert value == value.strip()
    assert all(0x20 <= octet < 0x7F for octet in value)


_items = st.text(st.sampled_from("ab ,%\u00eb\r")) | st.text()


@given(st.lists(_items, min_size=1, max_size=5))
def test_the_items_of_a_list_are_read_back(items: list[str]) -> None:
    assert [unquote(item) for item in field_value(items).decode("ascii").split(",")] == items


def test_a_header_without_a_value_is_left_out() -> None:
    headers = [(b"x-sub", "sub"), (b"x-email", "email"), (b"x-groups", "groups"), (b"x-address", "address")]
    claims = {"sub": "00u1", "groups": [], "address": {"country": "NL"}}
    assert identity_fields(headers, claims.get) == [(b"x-sub", b"00u1")]
