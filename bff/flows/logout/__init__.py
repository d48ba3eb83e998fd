"""The end of a session: by its user, an operator, the provider, or a replacement.

Owns: deletion and revocation of one session, the search for many, logout tokens, and logout markers.
Does not own: HTTP routes (`bff.web.auth`), or the validation of a logout token (`bff.oidc.logout`).
"""
