"""The refresh of tokens: one flight across requests and replicas, and what happens when it fails.

Owns: the order of reserve, send and write; waiting for another replica; limits on calls to the provider.
Does not own: the decisions (`bff.session.rotation`), or the store and the provider, which are ports here.
"""
