"""Verifies an identity assertion of the BFF with PyJWT: reads it from stdin, prints its claims."""

import json
import os
import sys

import jwt

ISSUER, AUDIENCE, ALGORITHM = os.environ["BFF_URL"], os.environ["AUDIENCE"], os.environ.get("ALGORITHM", "ES256")

keys = jwt.PyJWKClient(f"{ISSUER}/.well-known/jwks.json", lifespan=300)  # one for the whole process
token = sys.stdin.read()
key, required = keys.get_signing_key_from_jwt(token), {"require": ["exp", "iat", "iss", "aud", "sub"]}
whole = jwt.decode_complete(
    token, key, algorithms=[ALGORITHM], audience=AUDIENCE, issuer=ISSUER, leeway=5, options=required
)
if whole["header"].get("typ") != "identity-assertion+jwt":
    raise SystemExit("not an identity assertion")
print(json.dumps(whole["payload"]))
