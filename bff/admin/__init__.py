"""Operator commands: `bff okta` and `bff doctor`. `bff serve` imports nothing of this package.

Owns: Okta's Management API, and checks of a deployment.
Does not own: the command line itself (`bff.cli`).
"""
