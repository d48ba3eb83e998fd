"""The start of the servers of one process."""

import gc
import resource
import socket
from collections.abc import Iterator
from typing import Any

import pytest

from bff.config.settings import load_settings
from bff.errors import ConfigurationError
from bff.server.run import run
from tests.harness.settings import with_changes

APP: Any = None  # never reached


@pytest.fixture
def _own_gc_settings() -> Iterator[None]:
    """`run` tunes the garbage collection of its process."""
    threshold = gc.get_threshold()
    yield
    gc.unfreeze()
    gc.set_threshold(*threshold)


@pytest.mark.usefixtures("_own_gc_settings")
def test_an_occupied_address_is_refused_by_the_name_of_its_setting() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(ConfigurationError, match=f"BFF_LISTEN: 127.0.0.1:{port} cannot be listened on"):
            run(APP, load_settings(with_changes(listen=f"127.0.0.1:{port}")))
    assert resource.getrlimit(resource.RLIMIT_CORE) == (0, 0), "a core dump would hold every token"
