"""The backend-for-frontend: signs people in, keeps their tokens, forwards their calls.

Owns: the rooms below it and the version. Does not own: the demo, the benchmarks, the examples.
The floors, from the door down: cli, app, settings, endpoints, flows and their neighbours, session, oidc, errors.
"""

__version__ = "0.1.0"
