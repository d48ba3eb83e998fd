"""JSON that two parsers could read differently is refused."""

import pytest

from bff.oidc.strict_json import JsonRefused, read_object

AMBIGUOUS = {  # reason: documents
    "a name appears twice": [b'{"a":1,"a":1}', b'{"a":{"b":1,"\\u0062":2}}'],
    "NaN and Infinity": [b'{"a":NaN}', b'{"a":[Infinity]}', b'{"a":-Infinity}'],
    "a number is out of range": [b'{"a":1e400}', b'{"a":-1e400}'],
    "a lone surrogate": [b'{"a":"\\ud800"}', b'{"\\udc00":1}'],
    "nested too deeply": [
        *[b'{"a":' + b"[" * levels + b"]" * levels + b"}" for levels in (32, 4900)],
        b'{"a":' * 40 + b"1" + b"}" * 40,
    ],
    "longer than 10000 bytes": [b" " * 10_001],
    "not a JSON object": [b"[{}]"],
    "not JSON": [
        *[b'{"a":' + b"9" * 5000 + b"}", b"\xef\xbb\xbf{}", "{}".encode("utf-16"), b"{} {}", b"{'a':1}", b""],
    ],
}


@pytest.mark.parametrize("reason", AMBIGUOUS)
def test_an_ambiguous_document_is_refused(reason: str) -> None:
    for document in AMBIGUOUS[reason]:
        with pytest.raises(JsonRefused, match=reason):
            read_object(document, max_bytes=10_000)


def test_every_other_document_is_read() -> None:
    document = b' {"a":[1,-2.5,1e3,true,null,"\\ud83d\\ude00\xc3\xa9"],"b":{"a":{}}} '
    assert read_object(document, max_bytes=len(document)) == {"a": [1, -2.5, 1000.0, True, None, "😀é"], "b": {"a": {}}}
    assert read_object(b'{"a":[[]]}', max_bytes=100, max_depth=3) == {"a": [[]]}
    with pytest.raises(JsonRefused, match="nested too deeply"):
        read_object(b'{"a":[[]]}', max_bytes=100, max_depth=2)
    read_object(b'{"a":' + b"[" * 31 + b"]" * 31 + b"}", max_bytes=100)
