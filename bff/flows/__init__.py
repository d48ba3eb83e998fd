"""What happens over time: sign-in, refresh, and the end of a session.

Owns: the order of steps, what is durable before the next one, single flight, deadlines, tasks that outlive a request.
Does not own: the decisions (`bff.session`, `bff.oidc`), HTTP, or any particular store or provider: both are ports here.
"""
