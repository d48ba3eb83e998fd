"""The path of a route: which requests it covers, and which request target its upstream gets."""

import re
from functools import cached_property
from typing import Final, Self

from pydantic import BaseModel, Field, field_validator

from bff.config import validators
from bff.config.browser import is_reserved
from bff.config.field_types import OwnPath, Url
from bff.config.section import FROZEN, over
from bff.config.upstream import Upstream
from bff.errors import InvalidRequest

# Visible ASCII: the characters allowed in a request target.
_PLAIN: Final = re.compile(rb"[\x21-\x7e]*")


def _has_dot_segment(path: bytes) -> bool:
    """True if a segment of the path is `.` or `..`, with or without semicolon parameters."""
    return any(segment.partition(b";")[0] in (b".", b"..") for segment in path.split(b"/"))


class RoutePath(BaseModel):
    """A prefix, and the upstream that serves the paths below it."""

    model_config = FROZEN

    prefix: OwnPath = Field(examples=["/placeholder"])
    upstream: Url = Field(examples=["https://placeholder.invalid"])
    allow_http: bool = False
    strip_prefix: bool = False
    ignore_case: bool = False  # the upstream treats /API and /api as one path, and so does the prefix

    @field_validator("prefix")
    @classmethod
    def _plain_prefix(cls, prefix: str) -> str:
        if prefix.endswith("/"):
            raise validators.invalid(
                "ends with a slash.", f"Write {prefix.rstrip('/') or '/api'}: it covers everything below it."
            )
        if any(segment.endswith(".") for segment in prefix.split("/")):
            raise validators.invalid("has a dot at the end of a segment.", "Remove the dot: some servers ignore it.")
        if is_reserved(prefix.lower()):
            raise validators.invalid(
                ("covers /auth, which is reserved for the BFF."), "Choose another prefix, like /api."
            )
        return prefix

    @over("allow_http", "upstream")
    def _no_token_over_http(self) -> None:
        if self.upstream.startswith("http:") and not self.allow_http:
            parts = validators.url(self.upstream, example="https://api.example.com")
            if not validators.is_loopback(parts.hostname):
                fix = "Use https in upstream, or set allow_http = true where the network itself is trusted."
                raise validators.invalid("is false, and the upstream is http, not on this machine.", fix)

    def ignoring_case(self) -> Self:
        return self.model_copy(update={"ignore_case": True})

    @cached_property
    def server(self) -> Upstream:
        return Upstream.parse(self.upstream)

    @cached_property
    def own_path(self) -> bytes:
        """The prefix; empty for `/`, which matches every path."""
        return self.prefix.rstrip("/").encode("ascii")

    @cached_property
    def _base_path(self) -> bytes:
        return self.server.base_path.encode("ascii")

    def covers(self, raw_path: bytes) -> bool:
        """Matches on a segment boundary: `/api` covers `/api` and `/api/x`, not `/apix`."""
        own = self.own_path
        if self.ignore_case:
            return raw_path[: len(own)].lower() == own.lower() and raw_path[len(own) : len(own) + 1] in (b"", b"/")
        return raw_path.startswith(own) and raw_path[len(own) : len(own) + 1] in (b"", b"/")

    def target(self, raw_path: bytes, query: bytes) -> bytes:
        """The request target for the upstream: the client's, byte for byte, except for the prefix.

        Raises InvalidRequest if it would leave the base path or could be parsed as an authority. The request guard
        refuses such paths before; this is the last check before sending.
        """
        path = self._base_path + (raw_path[len(self.own_path) :] if self.strip_prefix else raw_path)
        if not path:
            path = b"/"
        if (
            not self.covers(raw_path)
            or path.startswith(b"//")
            or not path.startswith(self._base_path + b"/" if path != self._base_path else self._base_path)
            or (b"." in path and _has_dot_segment(path))
            or not _PLAIN.fullmatch(path)
            or not _PLAIN.fullmatch(query)
        ):
            raise InvalidRequest("The path cannot be forwarded.")
        return path + b"?" + query if query else path

    def public_path(self, upstream_path: str) -> str | None:
        """The public path of an upstream path; None if it lies outside this route."""
        base = self.server.base_path
        if upstream_path != base and not upstream_path.startswith(base + "/"):
            return None
        rest = upstream_path[len(base) :]
        public = self.own_path.decode("ascii") + rest if self.strip_prefix else rest
        head = public.partition("?")[0].partition("#")[0].encode("ascii", "replace")
        return public if self.covers(head) and not public.startswith("//") else None
