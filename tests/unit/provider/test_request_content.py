"""What a request carries."""

from typing import Any

import pytest

from bff.provider.request_content import RequestContent, request_content


@pytest.mark.parametrize(
    ("form", "document", "content"),
    [
        ({"a": "b c"}, None, RequestContent("application/x-www-form-urlencoded", b"a=b+c")),
        (None, {"a": [1]}, RequestContent("application/json", b'{"a": [1]}')),
        (None, {}, RequestContent("application/json", b"{}")),
        ({}, None, RequestContent()),
        (None, None, RequestContent()),
    ],
)
def test_a_form_a_document_or_nothing(form: Any, document: Any, content: RequestContent) -> None:
    assert request_content(form, document) == content
    assert "b c" not in repr(content)
