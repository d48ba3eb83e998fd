"""The provider over the network: httpx, the discovery document and the signing keys as they are cached.

Owns: calls to the provider with deadlines and size limits, client secrets in use, the caches of metadata and JWKS.
Does not own: what the messages say or whether they are believed (`bff.oidc`).
"""
