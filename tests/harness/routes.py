"""Routes of tests, as their settings state them."""

from typing import Any

from bff.config.routes import Route


def a_route(prefix: str = "/api", upstream: str = "http://api.internal:8080", **options: Any) -> Route:
    """The route of these settings; plain http is allowed, since the upstreams of tests have no certificate."""
    if prefix == "/":
        return Route.for_spa(upstream).model_copy(update=options)
    return Route(**{"prefix": prefix, "upstream": upstream, "allow_http": True, **options})
