"""The prefixes of all routes together."""

from bff.config import validators
from bff.config.routes import Route


def distinct_prefixes(routes: tuple[Route, ...]) -> tuple[Route, ...]:
    """Refuses two routes of one prefix, and of one prefix in two cases where one of them ignores case."""
    if len({route.prefix for route in routes}) < len(routes):
        raise validators.invalid("contains one prefix twice.", "Keep one route for each prefix.")
    folded = [route.prefix.lower() for route in routes]
    for route in routes:
        if route.ignore_case and folded.count(route.prefix.lower()) > 1:
            problem = f"contains {route.prefix}, which ignores case, and the same prefix in another case."
            raise validators.invalid(problem, "Keep one of them, or remove ignore_case.")
    return routes
