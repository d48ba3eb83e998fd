"""What users are shown of their own browsers: family and system, and the network."""

import pytest

from bff.web.auth.client_hint import USER_AGENT_LIMIT, client_hint, coarse_network


@pytest.mark.parametrize(
    ("agent", "hint"),
    [
        ("Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:130.0) Gecko/20100101 Firefox/130.0", "Firefox on Windows"),
        ("Mozilla/5.0 (X11; Linux x86_64) Chrome/128.0 Safari/537.36", "Chrome on Linux"),
        ("Mozilla/5.0 (Windows NT 10.0) Chrome/128.0 Safari/537.36 Edg/128.0", "Edge on Windows"),
        ("Mozilla/5.0 (X11; CrOS x86_64) Chrome/128.0 Safari/537.36 OPR/1", "Opera on ChromeOS"),
        ("Mozilla/5.0 (Macintosh; Intel Mac OS X 14_5) Version/17.5 Safari/605.1", "Safari on macOS"),
        ("Mozilla/5.0 (iPhone; like Mac OS X) CriOS/128 Mobile Safari/604.1", "Chrome on iOS"),
        ("Mozilla/5.0 (iPad; like Mac OS X) FxiOS/128", "Firefox on iPadOS"),
        ("Mozilla/5.0 (Linux; Android 14) SamsungBrowser/25.0 Chrome/121 Safari/537.36", "Samsung Internet on Android"),
        ("curl/8", None),
        ("<script>alert(1)</script>", None),
        ("Windows", "Windows"),
        ("Firefox/1", "Firefox"),
        ("x" * USER_AGENT_LIMIT + "Firefox/1", None),
    ],
)
def test_a_browser_is_recognised_coarsely(agent: str, hint: str | None) -> None:
    assert client_hint([(b"user-agent", agent.encode())]) == hint


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("192.0.2.77", "192.0.2.0/24"),
        ("::ffff:192.0.2.77", "192.0.2.0/24"),
        ("2001:db8:1:2::3", "2001:db8:1::/48"),
        ("fe80::1%eth0", "fe80::/48"),
        ("unix", None),
        ("", None),
    ],
)
def test_an_address_is_reduced_to_its_network(address: str, network: str | None) -> None:
    assert coarse_network(address) == network
