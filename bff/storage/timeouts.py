"""How long the stores wait, in seconds. The defaults are for production."""

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class SqliteTimeouts:
    """`busy`: how long a writer waits for another process's lock.

    `answer`: how long a caller waits for its write to be durable; more than `busy`, less than any refresh lease.
    """

    busy: float = 2.0
    answer: float = 5.0


@dataclass(frozen=True, slots=True)
class RedisTimeouts:
    """`connect` and `reply`: for one connection and one reply, which leaves time for a second attempt.

    `operation`: for one operation with all its attempts. `acknowledge`: how long a write waits for a replica.
    """

    connect: float = 1.0
    reply: float = 1.0
    operation: float = 2.0
    acknowledge: float = 0.5


@dataclass(frozen=True, slots=True)
class StoreTimeouts:
    sqlite: SqliteTimeouts = field(default_factory=SqliteTimeouts)
    redis: RedisTimeouts = field(default_factory=RedisTimeouts)
