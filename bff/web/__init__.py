"""HTTP and WebSocket in: each file names its own routes.

Owns: the guard in front of everything, cookies on the wire, CSRF, problem JSON, error pages, one file for each route.
Does not own: decisions about tokens or sessions (`bff.flows`), or which rooms stand behind it (`bff.app`).
"""
