"""OpenID Connect and OAuth 2.0 as words, messages and checks.

Owns: what we say to a provider and how we judge what it says: discovery document, authorization request and response,
token answers, ID tokens, JWKS, logout messages, client authentication, and the port `OpenIDProvider`.
Does not own: sockets, clocks, storage, settings. Every function that depends on the time is given `now`.
"""
