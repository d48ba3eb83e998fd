"""Okta's app integration as code: plan, apply, show, rotate the secret.

Owns Okta's Management API client, and the difference between desired and actual state. Used by the command line only.
Does not own anything that a running BFF needs.
"""
