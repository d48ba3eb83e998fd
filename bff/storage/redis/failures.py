"""Which exceptions of redis-py mean what, and the StoreUnavailable that a caller gets for them."""

from typing import Final

from redis.exceptions import (
    AuthenticationError,
    AuthorizationError,
    ClusterDownError,
    MasterDownError,
    ReadOnlyError,
    ResponseError,
    TryAgainError,
)
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

from bff.errors import StoreUnavailable
from bff.telemetry import metrics

ERROR: Final = StoreUnavailable("Redis did not answer.", retry_after=1)
UNREACHABLE: Final = (RedisConnectionError, RedisTimeoutError, OSError)
LOGIN_REFUSED: Final = (AuthenticationError, AuthorizationError)  # connection errors to redis-py, but they are replies
WRONG_SERVER: Final = (ReadOnlyError, ClusterDownError, MasterDownError, TryAgainError)


def unavailable(error: Exception, *, unreachable: bool = False) -> StoreUnavailable:
    """Names only the error class: a message may contain an address or the command."""
    error_name = type(error).__name__.removesuffix("Error")
    return StoreUnavailable(f"Redis is unavailable ({error_name}).", retry_after=1, unreachable=unreachable)


def command_rejected(error: ResponseError) -> StoreUnavailable:
    """Only the error's class or first word is shown: the rest may quote the command."""
    metrics.STORE_ERRORS.inc()
    error_name = type(error).__name__.removesuffix("Error")
    if error_name == "Response":
        error_name = next((word for word in str(error).split()[:1] if word.isalpha() and word.isupper()), "ERR")
    return StoreUnavailable(f"Redis refused a command ({error_name}).", retry_after=1)
