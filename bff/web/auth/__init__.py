"""The routes below /auth and the callback: one file for each.

Owns: parameters, cookies and responses of these routes.
Does not own: what happens to sessions and tokens (`bff.flows`).
"""
