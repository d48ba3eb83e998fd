"""What the access log has to know of a request, filled in on its way. Only there while the access log is on."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

# Scope key: the `Access` of the request.
ACCESS: Final = "bff.access"


@dataclass(slots=True)
class Access:
    """`route` is a prefix or a template, never the client's path; `upstream` is in seconds, up to its response head."""

    route: str | None = None
    upstream: float | None = None


def access_of(scope: Mapping[str, Any]) -> Access | None:
    """None while the access log is off."""
    access = scope.get(ACCESS)
    return access if isinstance(access, Access) else None


def set_route(scope: Mapping[str, Any], route: str) -> None:
    if (access := scope.get(ACCESS)) is not None:
        access.route = route
