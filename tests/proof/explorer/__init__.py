"""Every interleaving of a few replicas that renew one session: the pure core, proven by exhaustion."""
