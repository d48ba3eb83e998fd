"""OpenID Connect and OAuth 2.0 protocol messages and their validation.

Owns what we send to a provider and how its responses are validated: discovery document, authorization request and
response, token responses, ID tokens, JWKS, logout messages, client authentication, and the port `OpenIDProvider`. Does
not own sockets, clocks, storage or settings: functions that depend on time take `now`.
"""
