"""The content of a request to the provider: a form, a JSON document, or nothing."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from bff.oidc.form_fields import FormFields, encode_form

FORM: Final = "application/x-www-form-urlencoded"
JSON: Final = "application/json"


@dataclass(frozen=True, slots=True)
class RequestContent:
    """`media_type` is None for a request without a body."""

    media_type: str | None = None
    body: bytes = field(default=b"", repr=False)


def request_content(form: FormFields | None, document: Mapping[str, Any] | None) -> RequestContent:
    if form:
        return RequestContent(FORM, encode_form(form).encode())
    if document is not None:
        return RequestContent(JSON, json.dumps(document).encode())
    return RequestContent()
