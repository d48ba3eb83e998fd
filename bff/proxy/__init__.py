"""The data plane: from an authenticated request to the upstream API and back, streamed.

Owns: the route table, header hygiene in both directions, HTTP and WebSocket forwarding.
Does not own: who the caller is or which token is attached; both arrive as arguments.
"""
