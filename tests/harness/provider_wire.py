"""Former names of `provider_server`, for tests that still use them."""

from tests.harness.provider_server import DISCOVERY, Behaviour, answer, answer_json, discovery_document, reset
from tests.harness.provider_server import ProviderServer as Wire
from tests.harness.provider_server import provider_server as wire
from tests.harness.raw_http import Request

__all__ = [
    "DISCOVERY",
    "Behaviour",
    "Request",
    "Wire",
    "answer",
    "answer_json",
    "discovery_document",
    "reset",
    "wire",
]
