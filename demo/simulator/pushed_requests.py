"""Pushed authorization requests (RFC 9126): each has a reference, valid for an hour and single-use."""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field

LIFETIME = 3600  # seconds
PREFIX = "urn:okta:"


@dataclass(frozen=True, slots=True)
class PushedRequest:
    client_id: str
    endpoints: str
    parameters: Mapping[str, str] = field(repr=False)
    pushed_at: float


class PushedRequests:
    def __init__(self) -> None:
        self._requests: dict[str, PushedRequest] = {}

    def keep(self, request: PushedRequest) -> str:
        """Stores the request and returns its `request_uri`."""
        name = PREFIX + secrets.token_urlsafe(24)
        self._requests[name] = request
        return name

    def take(self, request_uri: str, now: float) -> PushedRequest | None:
        """Single-use; None when it has expired."""
        request = self._requests.pop(request_uri, None)
        return request if request is not None and now < request.pushed_at + LIFETIME else None
