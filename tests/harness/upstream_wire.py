"""Former names of `raw_http`, `raw_upstream` and `proxy_server`, for tests that still use them."""

from tests.harness.proxy_server import PUBLIC, Users, bff, bff_beside, serve
from tests.harness.proxy_server import User as TokenOfUser
from tests.harness.raw_http import SAME_ORIGIN as OURS
from tests.harness.raw_http import HttpServer as RawUpstream
from tests.harness.raw_http import Request as Heard
from tests.harness.raw_http import Response as Answer
from tests.harness.raw_http import fetch, read_body, read_chunks, read_head
from tests.harness.raw_http import read_response as read_answer
from tests.harness.raw_http import send as ask
from tests.harness.raw_upstream import ok, raw_upstream, route
from tests.harness.raw_upstream import sends as says
from tests.harness.waiting import PATIENCE

__all__ = [
    "OURS",
    "PATIENCE",
    "PUBLIC",
    "Answer",
    "Heard",
    "RawUpstream",
    "TokenOfUser",
    "Users",
    "ask",
    "bff",
    "bff_beside",
    "fetch",
    "ok",
    "raw_upstream",
    "read_answer",
    "read_body",
    "read_chunks",
    "read_head",
    "route",
    "says",
    "serve",
]
