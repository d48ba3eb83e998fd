"""The sample API that the demo calls through the BFF.

Owns an echo, server-sent events and a WebSocket, each showing what arrived. Does not own sessions or cookies; it sees
only an access token.
"""
