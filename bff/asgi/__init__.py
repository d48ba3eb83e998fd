"""What the BFF adds to ASGI: scope extensions, and the batching of small writes to a transport.

Owns: the names of our scope and message extensions and the functions that use them.
Does not own: the server that provides them (`bff.server`). A leaf: it imports no other package of the BFF.
"""
