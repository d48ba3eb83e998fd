"""Why a server could not be reached, in words that quote nothing."""

import errno
import socket
import ssl

import httpx
import pytest

from bff.provider.failure import reason_of


def caused(error: BaseException) -> BaseException:
    outer = httpx.ConnectError("https://user:canary@host")
    outer.__cause__ = error
    return outer


@pytest.mark.parametrize(
    ("cause", "reason"),
    [
        (socket.gaierror(-2, "canary"), "unknown host"),
        (ConnectionRefusedError(111, "canary"), "connection refused"),
        (OSError(errno.ENETUNREACH, "canary"), "the network is unreachable"),
        (OSError(errno.EHOSTUNREACH, "canary"), "no route to the host"),
        (ConnectionResetError(errno.ECONNRESET, "canary"), "the connection was reset"),
        (ssl.SSLCertVerificationError("canary"), "certificate not trusted, SSLCertVerificationError"),
        (ValueError("canary"), "ConnectError from ValueError"),
    ],
)
def test_the_cause_is_named(cause: BaseException, reason: str) -> None:
    assert reason_of(caused(cause)) == reason


def test_a_chain_that_repeats_ends() -> None:
    error = ValueError()
    error.__context__ = error
    assert reason_of(error) == "ValueError"
