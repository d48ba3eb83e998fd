"""Strict form parsing: no duplicate parameter (RFC 6749 section 3.2) but `resource` (RFC 8707), and UTF-8 only."""

from collections.abc import Mapping
from urllib.parse import parse_qsl

from starlette.requests import Request

from demo.simulator import okta_errors
from demo.simulator.okta_errors import RequestRefused


async def read_form(request: Request) -> Mapping[str, str]:
    """Raises RequestRefused."""
    return parse_form(await request.body())


def parse_form(body: bytes) -> Mapping[str, str]:
    """Raises RequestRefused where a parameter is repeated or the body is not form-encoded text.

    Several `resource` parameters become one value, separated by spaces, which a URI does not contain.
    """
    try:
        pairs = parse_qsl(body.decode(), keep_blank_values=True, errors="strict", max_num_fields=100)
    except ValueError:
        raise RequestRefused(okta_errors.MISSING_PARAMETER) from None
    resources = [value for name, value in pairs if name == "resource"]
    others = [pair for pair in pairs if pair[0] != "resource"]
    form = dict(others)
    if len(form) != len(others):
        raise RequestRefused(okta_errors.DUPLICATED)
    return {**form, "resource": " ".join(resources)} if resources else form
