"""ASGI middleware in front of every route: request validation, traces, CORS, rate limits, draining.

Owns: what is decided before a route is chosen.
Does not own: authentication and CSRF, which depend on the route.
"""
