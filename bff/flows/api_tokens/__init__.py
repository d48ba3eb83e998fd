"""Access tokens for APIs: exchanged, requested for a resource, or the BFF's own.

Owns who requests one, for whom it is kept and what a refusal means. Does not own the decisions
(`bff.session.audience_tokens`), the refresh chain that resources share, or the provider.
"""
