"""A simulated Okta: an OpenID provider that behaves, and misbehaves, as Okta does.

Owns: org and custom authorization servers, a sign-in page, tokens with rotation, grace and reuse detection, faults on
command.
Does not own: anything of the product; it shares no code with it, so a mistake there cannot hide here.
"""
