"""Why a server could not be reached, in words for a log line or a terminal."""

import errno
import socket
import ssl

_REASONS = {
    errno.ENETUNREACH: "the network is unreachable",
    errno.EHOSTUNREACH: "no route to the host",
    errno.ECONNRESET: "the connection was reset",
}


def reason_of(error: BaseException) -> str:
    """One of a few constants, or the types of the exceptions, outermost first.

    Never a message: it may quote a URL or a header.
    """
    chain = _chain(error)
    for cause in chain:
        match cause:
            case socket.gaierror():
                return "unknown host"
            case ConnectionRefusedError():
                return "connection refused"
            case ssl.SSLCertVerificationError():
                return "certificate not trusted, SSLCertVerificationError"
            case OSError(errno=int(number)) if number in _REASONS:
                return _REASONS[number]
            case _:
                pass
    return " from ".join(dict.fromkeys(type(cause).__name__ for cause in chain[:4]))


def _chain(error: BaseException) -> list[BaseException]:
    chain: list[BaseException] = []
    cause: BaseException | None = error
    while cause is not None and cause not in chain:
        chain.append(cause)
        cause = cause.__cause__ or cause.__context__
    return chain
