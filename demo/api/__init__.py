"""The sample API that the demo calls through the BFF.

Owns: an echo, server-sent events and a WebSocket, each showing what arrived.
Does not own: anything about sessions or cookies; it sees an access token and nothing else.
"""
