"""Okta's app integration as code: plan, apply, show, rotate the secret.

Owns: Okta's Management API and the difference between what is wanted and what is there. Used by the command line only.
Does not own: anything that a running BFF needs.
"""
