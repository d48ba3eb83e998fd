"""Flows over time: sign-in, refresh, and the end of a session.

Owns the order of steps, what must be durable before the next one, single flight, deadlines, and tasks that outlive a
request. Does not own decisions (`bff.session`, `bff.oidc`), HTTP, or a particular store or provider, which are ports
here.
"""
