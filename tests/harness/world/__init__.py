"""The whole application for tests, on real sockets in the running event loop, with everything around it."""

from tests.harness.world.app_server import listening, running_app, serving
from tests.harness.world.clock import Clock
from tests.harness.world.provider import CLIENT_ID, CLIENT_SECRET
from tests.harness.world.upstream import Upstream
from tests.harness.world.world import World, small_world

__all__ = [
    "CLIENT_ID",
    "CLIENT_SECRET",
    "Clock",
    "Upstream",
    "World",
    "listening",
    "running_app",
    "serving",
    "small_world",
]
