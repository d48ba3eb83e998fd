"""What a person reads of where their sessions are: the browser's family and system, and the network."""

import pytest

from bff.web.auth.client_hint import client_hint, coarse_network

FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
IPHONE = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605 (KHTML, like Gecko) Version/18.0 Mobile/15E148 Safari/604.1"  # noqa: E501


@pytest.mark.parametrize(
    ("agent", "expected"),
    [
        (FIREFOX, "Firefox on Linux"),
        (IPHONE, "Safari on iOS"),
        ("Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36 Edg/140.0.0.0", "Edge on Windows"),  # noqa: E501
        ("Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0 Safari/537.36", "Chrome on macOS"),  # noqa: E501
        ("Mozilla/5.0 (Linux; Android 15) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0 Mobile Safari/537.36", "Chrome on Android"),  # noqa: E501
        ("curl/8.5", None),
        ("", None),
        ("<script>alert(1)</script>", None),
        ("x" * 5000 + "Firefox/1", None),
    ],
)  # fmt: skip
def test_a_browser_is_named_by_family_and_system_and_never_by_its_own_words(agent: str, expected: str | None) -> None:
    assert client_hint([(b"user-agent", agent.encode())]) == expected


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("203.0.113.77", "203.0.113.0/24"),
        ("2001:db8:aaaa:bbbb::1", "2001:db8:aaaa::/48"),
        ("::ffff:203.0.113.77", "203.0.113.0/24"),
        ("fe80::1%eth0", "fe80::/48"),
        ("unknown", None),
        ("", None),
    ],
)
def test_an_address_is_shortened_to_its_network(address: str, network: str | None) -> None:
    assert coarse_network(address) == network
