"""How long a connection waits for its client."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Timeouts:
    """How long a connection waits for its client, in seconds.

    `head`: for a complete request head. uvicorn has no limit, and a thousand clients that send one byte now and then
    would hold a thousand sockets. `linger`: for the client to close a connection that is shut down for writing.
    """

    head: float = 20.0
    linger: float = 5.0
