"""The parameters of a request, as a form or a query: a name may have several values (RFC 8707 section 2)."""

from collections.abc import Mapping
from typing import TypeAlias
from urllib.parse import quote, quote_plus, urlencode

FormFields: TypeAlias = Mapping[str, str | tuple[str, ...]]


def encode_form(fields: FormFields) -> str:
    """As a body, `application/x-www-form-urlencoded`."""
    return urlencode(fields, doseq=True, quote_via=quote_plus)


def encode_query(fields: FormFields) -> str:
    """As a query: a space is %20."""
    return urlencode(fields, doseq=True, quote_via=quote, safe="")
