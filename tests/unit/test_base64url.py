import pytest
from hypothesis import given
from hypothesis import strategies as st

from bff.base64url import decode_base64url, encode_base64url, require_base64url


@pytest.mark.parametrize("text", ["", "A", "AB=", "A+B/", "AB\n", " AB", "AAB", "é", "AB==", "QQ..", "AAAAA"])
def test_base64url_has_one_spelling(text: str) -> None:
    assert decode_base64url(text) is None
    with pytest.raises(ValueError):
        require_base64url(text)


@given(st.binary(min_size=1, max_size=80), st.text(max_size=80) | st.text(alphabet="AQgw_-=+/ ", max_size=80))
def test_base64url_is_encoded_and_decoded_one_way(data: bytes, text: str) -> None:
    assert require_base64url(encode_base64url(data)) == data
    decoded = decode_base64url(text)
    assert decoded is None or encode_base64url(decoded) == text
