"""Every interleaving of a few replicas that renew one session: the pure core, proven by exhaustion.

`provider` is what a provider may do with refresh tokens, `world` the small programs and the faults, `invariants` what
must hold in every step, `search` the walk through all states. Nothing here is imported by the product.
"""
