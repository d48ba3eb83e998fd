"""An HTTP client for loopback, without TLS: reading the public authorities takes 20 ms, and no test here needs them."""

import ssl
from typing import Any, Final

import httpx

_NO_AUTHORITIES: Final = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # whatever is asked over https fails


def plain_http(**more: Any) -> httpx.AsyncClient:
    """`more` as httpx.AsyncClient takes it. Reads nothing of the environment."""
    # The timeout is for what hangs: httpx's own five seconds are a pause that a busy machine may make.
    return httpx.AsyncClient(trust_env=False, verify=_NO_AUTHORITIES, **{"timeout": 60, **more})
