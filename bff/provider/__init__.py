"""The provider over the network: HTTP clients, cached metadata and cached signing keys.

Owns calls to the provider with timeouts and size limits, the client secret in use, and the caches of metadata and JWKS.
Does not own the content of messages or their validation (`bff.oidc`).
"""
