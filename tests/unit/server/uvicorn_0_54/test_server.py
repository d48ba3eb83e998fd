"""How uvicorn is configured, and the order of its shutdown."""

import socket

from bff.asgi.write_batching import WriteBatch
from bff.server.uvicorn_0_54.http_protocol import HttpProtocol
from bff.server.uvicorn_0_54.server import Server, uvicorn_config
from bff.server.uvicorn_0_54.timeouts import Timeouts
from tests.harness.asgi_call import Reached


async def test_the_servers_use_our_protocols_and_trust_no_header_of_a_proxy() -> None:
    config = uvicorn_config(Reached(), write_batch=WriteBatch(), timeouts=Timeouts(head=3), lifespan="off")
    config.load()
    protocol = config.http_protocol_class(config, Server(config).server_state, {})
    assert isinstance(protocol, HttpProtocol)
    assert protocol._timeouts.head == 3
    assert (config.proxy_headers, config.access_log, config.server_header) == (False, False, False)
    assert config.ws_per_message_deflate is False
    assert config.timeout_keep_alive > 60, "longer than the proxies in front"


async def test_listeners_are_closed_before_streams_are_ended() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        closed: list[bool] = []
        server = Server(
            uvicorn_config(Reached(), lifespan="off"), on_closed=lambda: closed.append(listener.fileno() < 0)
        )
        server.config.load()
        server.lifespan = server.config.lifespan_class(server.config)
        await server.startup(sockets=[listener.dup()])
        await server.shutdown(sockets=[listener])
    assert closed == [True]
