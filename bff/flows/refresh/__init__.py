"""Token refresh: single flight across requests and replicas, and recovery from failures.

Owns the order of reserve, send and write; waiting for another replica; recovery from a store failover; limits on token
requests. Does not own the decisions (`bff.session.rotation`, `bff.session.token_response`), or the store and the
provider, which are ports here.
"""
