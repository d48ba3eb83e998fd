"""Pushed authorization requests (RFC 9126): the request goes directly to the provider, the browser carries its
reference.
"""

import re
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from bff.oidc.strict_json import JsonRefused, read_object
from bff.oidc.token import MAX_RESPONSE_BYTES, error_code

# A URI (RFC 3986) that becomes part of the authorization URL: no space or control character, nothing that parsers
# disagree about.
_REQUEST_URI: Final = re.compile(r"[A-Za-z0-9\-._~:/?#\[\]@!$&'()*+,;=%]{1,2048}")


@dataclass(frozen=True, slots=True)
class Pushed:
    """The provider stores the request for `expires_in` seconds under this single-use reference."""

    request_uri: str = field(repr=False)
    expires_in: int


@dataclass(frozen=True, slots=True)
class NotPushed:
    """`why` is safe to log. `refused`: the provider rejected the request, so a retry would not help."""

    why: str
    refused: bool = False


PushResult: TypeAlias = Pushed | NotPushed


def parse_push_response(status: int, body: bytes) -> PushResult:
    """Parses a response of the endpoint (RFC 9126 sections 2.2 and 2.3; Okta answers 200 instead of 201).

    Never raises.
    """
    if status in {408, 429} or status >= 500:
        return NotPushed(f"status {status}")
    try:
        fields = read_object(body, max_bytes=MAX_RESPONSE_BYTES)
    except JsonRefused as refused:
        return NotPushed(f"status {status}, the body is {refused}", refused=status >= 400)
    if status >= 400:
        return NotPushed(f"status {status}, {error_code(fields)}", refused=True)
    if status not in {200, 201}:
        return NotPushed(f"status {status}")
    request_uri, expires_in = fields.get("request_uri"), fields.get("expires_in")
    if not isinstance(request_uri, str) or not _REQUEST_URI.fullmatch(request_uri):
        return NotPushed("the response has no valid request_uri")
    if isinstance(expires_in, bool) or not isinstance(expires_in, int | float) or expires_in < 1:
        return NotPushed("the response has no valid expires_in")
    return Pushed(request_uri, int(expires_in))


def pushed_parameters(client_id: str, request_uri: str) -> dict[str, str]:
    """The only parameters that the browser carries (RFC 9126 section 4)."""
    return {"client_id": client_id, "request_uri": request_uri}
