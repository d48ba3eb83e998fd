"""The header with an identity assertion: `Authorization` in the place of the access token, or one of its own."""

from bff.config.routes import Route
from bff.http1.response_parser import Header
from bff.proxy.credentials import UpstreamCredentials


def assertion_field(route: Route, credentials: UpstreamCredentials | None) -> Header | None:
    """None if the route has no identity assertion, or the request no session."""
    if route.identity is None or credentials is None:
        return None
    return route.identity.field(credentials.assertion(route))
