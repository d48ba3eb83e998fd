"""JSON that two parsers could read differently is refused."""

import pytest

from bff.oidc.strict_json import JsonRefused, read_object


@pytest.mark.parametrize(
    ("document", "reason"),
    [
        (b'{"a":1,"a":1}', "a name appears twice"),
        (b'{"a":{"b":1,"\\u0062":2}}', "a name appears twice"),
        (b'{"a":NaN}', "NaN and Infinity"),
        (b'{"a":[Infinity]}', "NaN and Infinity"),
        (b'{"a":-Infinity}', "NaN and Infinity"),
        (b'{"a":1e400}', "a number is out of range"),
        (b'{"a":-1e400}', "a number is out of range"),
        (b'{"a":' + b"9" * 5000 + b"}", "not JSON"),
        (b'{"a":"\\ud800"}', "a lone surrogate"),
        (b'{"\\udc00":1}', "a lone surrogate"),
        (b'{"a":' + b"[" * 32 + b"]" * 32 + b"}", "nested too deeply"),
        (b'{"a":' * 40 + b"1" + b"}" * 40, "nested too deeply"),
        (b"[" * 9000, "nested too deeply"),
        (b" " * 10_001, "longer than 10000 bytes"),
        (b"[{}]", "not a JSON object"),
        (b"\xef\xbb\xbf{}", "not JSON"),
        ("{}".encode("utf-16"), "not JSON"),
        (b"{} {}", "not JSON"),
        (b"{'a':1}", "not JSON"),
        (b"", "not JSON"),
    ],
    ids=lambda value: repr(value)[:30],
)
def test_an_ambiguous_document_is_refused(document: bytes, reason: str) -> None:
    with pytest.raises(JsonRefused, match=reason):
        read_object(document, max_bytes=10_000)


def test_every_other_document_is_read() -> None:
    document = b' {"a":[1,-2.5,1e3,true,null,"\\ud83d\\ude00\xc3\xa9"],"b":{"a":{}}} '
    assert read_object(document, max_bytes=len(document)) == {"a": [1, -2.5, 1000.0, True, None, "😀é"], "b": {"a": {}}}
    assert read_object(b'{"a":[[]]}', max_bytes=100, max_depth=3) == {"a": [[]]}
    with pytest.raises(JsonRefused, match="nested too deeply"):
        read_object(b'{"a":[[]]}', max_bytes=100, max_depth=2)
    read_object(b'{"a":' + b"[" * 31 + b"]" * 31 + b"}", max_bytes=100)
