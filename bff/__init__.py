"""The backend-for-frontend: signs users in, keeps their tokens on the server, forwards their API calls.

Owns: the packages below and the version. Does not own: the demo, the benchmarks, the examples.
Layers, top down: cli, admin, app, server, web, flows | proxy | provider | storage, config, telemetry, session,
oidc, asgi | errors.
"""

__version__ = "0.1.0"
