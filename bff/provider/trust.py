"""The certificate authorities that the provider's certificate is verified against."""

import ssl
from functools import cache
from pathlib import Path

import httpx


@cache
def public_authorities() -> ssl.SSLContext:
    """Loaded once per process: it takes 20 ms and more than a megabyte."""
    return httpx.create_ssl_context(trust_env=False)


def authorities(ca_file: Path | None) -> ssl.SSLContext:
    """Those of `ca_file`, or the public ones. Raises OSError for a file that cannot be read."""
    return public_authorities() if ca_file is None else ssl.create_default_context(cafile=str(ca_file))
