"""The API proxy: forwards an authorized request to the upstream API and streams the response.

Owns the route table, header filtering in both directions, HTTP and WebSocket forwarding. Does not own authentication or
token selection; both are arguments.
"""
