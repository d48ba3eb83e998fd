"""HTTP/1.1 as a client: one connection, and the parser of its responses, for upstreams and the provider.

Owns what is written for a request, what is accepted as a response, and whether the connection can carry another
exchange. Does not own when connections are opened, how many there are, or how long an exchange may take.
"""
