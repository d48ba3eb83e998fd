"""`bff keys`: create, list and change keys. Only `new` and `jwk` print a key, the one that they create."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

import click

from bff.base64url import encode_base64url
from bff.cli import output
from bff.cli.command_tree import CONTEXT
from bff.cli.options import settings_from, settings_source
from bff.oidc.algorithms import ECDSA, ED25519, RSA_PKCS1, RSA_PSS
from bff.oidc.jwe_algorithms import ECDH, RSA
from bff.oidc.private_keys import new_private_jwk
from bff.oidc.published_keys import key_set_document
from bff.session.keyring import key_id, new_key

ALGORITHMS: Final = (*RSA, *ECDH, *ECDSA, *ED25519, *RSA_PSS, *RSA_PKCS1)


@click.group(name="keys", context_settings=CONTEXT)
def command() -> None:
    """Create, list and change keys.

    To change the session key: append a new one to BFF_SESSION_KEYS and deploy; move it to the front and deploy; run
    `bff keys rewrap`; remove the old one. Sessions continue throughout.
    """


@command.command(name="new", short_help="Print a new session key.")
def new() -> None:
    """Print a new session key.

    Append it to BFF_SESSION_KEYS first, and move it to the front in a later deploy: by then every replica can decrypt
    with it.
    """
    output.line(encode_base64url(new_key()))


@command.command(name="jwk", short_help="Print a new private key as a JWK.")
@click.argument("algorithm", type=click.Choice(ALGORITHMS))
def jwk(algorithm: str) -> None:
    """Print a new private key as a JWK, with its thumbprint as `kid`.

    For BFF_DECRYPTION_KEYS: RSA-OAEP-256, ECDH-ES or ECDH-ES+A256KW, in a JWK Set. For BFF_CLIENT_PRIVATE_KEY and
    BFF_ASSERTION_KEYS: a signature algorithm, like ES256 or PS256.
    """
    output.line(json.dumps(new_private_jwk(algorithm)))


@command.command(name="public", short_help="Print the public keys of the BFF.")
@settings_source
def public(config: Path | None, env_file: Path | None) -> None:
    """Print the public keys of the BFF as a JWK Set, as /.well-known/jwks.json has them.

    For a provider that cannot fetch that document: register the keys there.
    """
    from bff.provider.own_keys import public_keys  # not for the other commands: they need no provider

    keys = public_keys(settings_from(config, env_file))
    output.line(key_set_document(member for members in keys.values() for member in members).decode("ascii"))


@command.command(name="list", short_help="Print the ids of the configured keys.")
@settings_source
def list_keys(config: Path | None, env_file: Path | None) -> None:
    """Print the ids of the configured keys, newest first, and never a key."""
    newest, *older = settings_from(config, env_file).session.key_ring
    output.table(
        [
            (key_id(newest), "newest: encrypts and decrypts"),
            *((key_id(key), "decrypts only") for key in older),
        ]
    )


@command.command(name="rewrap", short_help="Re-encrypt every record under the newest key.")
@settings_source
def rewrap(config: Path | None, env_file: Path | None) -> int:
    """Re-encrypt every record of the session store under the newest key.

    Sessions stay usable meanwhile. It may be interrupted: the next run skips what is done.
    """
    from bff.admin.rewrap import rewrap
    from bff.admin.sessions import AdminContext
    from bff.cli.session_store import print_from_store  # not for the other commands: they open no store

    async def work(context: AdminContext) -> AsyncIterator[str]:
        bar = output.ProgressBar("records")
        try:
            async for line in rewrap(context, bar):
                bar.close()
                yield line
        finally:
            bar.close()

    return print_from_store(settings_from(config, env_file), work)
