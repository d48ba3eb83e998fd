"""Builds the route table of the settings: the API routes, and the route of a development server for the SPA."""

from bff.config.routes import Route
from bff.config.settings import Settings
from bff.proxy.routes import RouteTable


def route_table(settings: Settings) -> RouteTable:
    """Raises ConfigurationError for TLS files of a route that cannot be used."""
    for route in settings.routes:
        _ = route.tls
    if settings.spa.upstream is None:
        return RouteTable(settings.routes)
    return RouteTable([*settings.routes, Route.for_spa(settings.spa.upstream)])
