"""The route table: which upstream serves a path, and the exact request target to request from it.

The authority comes from the settings alone: what the client sent appears only in path and query of an origin-form
target (RFC 9112 section 3.2.1) below the base path.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from bff.config.routes import Route
from bff.errors import InvalidRequest
from bff.proxy.path_normalization import case_folded, is_plain, normalized


@dataclass(frozen=True, slots=True)
class Explanation:
    """What `bff routes explain GET /api/items` prints. `target` has no host, which is `route.upstream`."""

    route: Route | None
    method_allowed: bool
    target: str | None


class RouteTable:
    """The longest prefix wins. Raises ValueError when two routes have the same prefix."""

    __slots__ = ("_nested", "routes")

    def __init__(self, routes: Iterable[Route]) -> None:
        self.routes = tuple(sorted(routes, key=lambda route: len(route.own_path), reverse=True))
        self._nested = {route.prefix: self._below(route) for route in self.routes}
        prefixes = {route.prefix: route for route in self.routes}
        if len(prefixes) != len(self.routes):
            raise ValueError("two routes have the same prefix")
        folded = [route.prefix.lower() for route in self.routes]
        for route in self.routes:
            if route.ignore_case and folded.count(route.prefix.lower()) > 1:
                raise ValueError("two routes have the same prefix except for letter case, which one of them ignores")

    def _below(self, outer: Route) -> tuple[Route, ...]:
        """The routes nested in one, longest prefix first, as its upstream would match them."""
        nested = []
        for inner in self.routes:
            if len(inner.own_path) > len(outer.own_path):
                if outer.ignore_case or inner.ignore_case:
                    if outer.ignoring_case().covers(inner.own_path):
                        nested.append(inner.ignoring_case())
                elif outer.covers(inner.own_path):
                    nested.append(inner)
        return tuple(nested)

    def match(self, raw_path: bytes) -> Route | None:
        """The route of a raw path: an encoded prefix does not match.

        Raises InvalidRequest if an upstream could read the path as one of another route, whose rules would be bypassed:
        `/api/%61dmin`, `/api//admin`, `/api/admin;x` where `/api/admin` is a route inside `/api`.
        """
        for route in self.routes:
            if route.covers(raw_path):
                if self._nested[route.prefix] and self._bypassed_in(route, raw_path) is not None:
                    raise InvalidRequest("The path is spelled so that a server could take it for another one.")
                return route
        return None

    def configured(self, raw_path: bytes) -> Route | None:
        """As `match`, without the route of a development server for the SPA, which covers every path."""
        route = self.match(raw_path)
        return None if route is None or not route.own_path else route

    def bypassed_route(self, raw_path: bytes) -> Route | None:
        """The route whose rules a path would bypass by its spelling, which is why `match` refuses it."""
        outer = next((route for route in self.routes if route.covers(raw_path)), None)
        return None if outer is None else self._bypassed_in(outer, raw_path)

    def _bypassed_in(self, route: Route, raw_path: bytes) -> Route | None:
        """The nested route that the upstream of `route` might match for a path that is spelled differently.

        Only routes nested in the covering route matter: its own prefix is plain in every reading. Raises InvalidRequest
        for an ambiguous path.
        """
        if is_plain(raw_path):
            if not route.ignore_case:
                return None
            reading = raw_path
        else:
            reading = normalized(raw_path)
        for nested in self._nested[route.prefix]:
            if nested.covers(case_folded(reading) if nested.ignore_case else reading):
                return nested
        return None

    def carries_credentials(self, raw_path: bytes) -> bool:
        """Whether a request for that path goes to an API with a token or cookies of the user, in any reading of it."""
        try:
            route = self.match(raw_path)
        except InvalidRequest:
            return True
        return route is not None and route.carries_credentials

    def explain(self, method: str, path: str) -> Explanation:
        """Raises InvalidRequest for a path that would not be forwarded."""
        raw_path, _, query = path.encode("ascii", "replace").partition(b"?")
        route = self.match(raw_path)
        if route is None:
            return Explanation(None, False, None)
        return Explanation(route, method in route.methods, route.target(raw_path, query).decode("ascii"))
