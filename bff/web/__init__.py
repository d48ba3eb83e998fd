"""HTTP and WebSocket in: one file for each route.

Owns the middleware, cookies, CSRF, problem JSON and error pages. Does not own decisions about tokens or sessions
(`bff.flows`), or how components are composed (`bff.app`).
"""
