"""Bounds of a body; `test_http.py` shows them on a real socket."""

import gzip

import pytest

from bff.provider.response import BodyRefused, BoundedBody


def test_a_body_is_decompressed_chunk_by_chunk() -> None:
    packed, body = gzip.compress(b"x" * 1000), BoundedBody("gzip", 1000)
    for start in range(0, len(packed), 7):
        body.add(packed[start : start + 7])
    assert body.end() == b"x" * 1000


def test_a_response_without_a_body_is_empty_whatever_its_encoding() -> None:
    assert BoundedBody("gzip", 10).end() == BoundedBody("", 10).end() == b""


def test_a_body_is_refused_at_the_chunk_that_exceeds_the_limit() -> None:
    body = BoundedBody("identity", 3)
    body.add(b"abc")
    with pytest.raises(BodyRefused, match="longer than 3 bytes"):
        body.add(b"d")
