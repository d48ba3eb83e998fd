"""Verifies an identity assertion of the BFF with joserfc: reads it from stdin, prints its claims."""

import json
import os
import sys
from urllib.request import urlopen

from joserfc import jwt
from joserfc.jwk import KeySet

ISSUER, AUDIENCE, ALGORITHM = os.environ["BFF_URL"], os.environ["AUDIENCE"], os.environ.get("ALGORITHM", "ES256")

keys = KeySet.import_key_set(json.load(urlopen(f"{ISSUER}/.well-known/jwks.json")))  # keep it for five minutes
token = jwt.decode(sys.stdin.read(), keys, algorithms=[ALGORITHM])
if token.header.get("typ") != "identity-assertion+jwt":
    raise SystemExit("not an identity assertion")
required = {"iss": {"essential": True, "value": ISSUER}, "aud": {"essential": True, "value": AUDIENCE}}
jwt.JWTClaimsRegistry(leeway=5, exp={"essential": True}, **required).validate(token.claims)
print(json.dumps(token.claims))
