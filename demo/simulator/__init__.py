"""A simulated Okta: an OpenID Provider with Okta's behaviour and failures.

Owns org and custom authorization servers, a sign-in page, tokens with rotation, grace period and reuse detection, and
injectable faults. Shares no code with the product, so that a common mistake cannot go unnoticed.
"""
