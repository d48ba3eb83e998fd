import pytest

from bff.proxy.client_address import TrustedProxies


def forwarded_for(*values: str) -> list[tuple[bytes, bytes]]:
    return [(b"x-forwarded-for", value.encode()) for value in values]


@pytest.mark.parametrize(
    ("peer", "claims", "address"),
    [
        ("203.0.113.9", ["198.51.100.1"], "203.0.113.9"),  # not trusted: its claims do not count
        ("10.0.0.1", ["198.51.100.1"], "198.51.100.1"),
        ("10.0.0.1", ["6.6.6.6, 198.51.100.1, 10.0.0.2"], "198.51.100.1"),
        ("10.0.0.1", ["6.6.6.6", "198.51.100.1, 10.0.0.2"], "198.51.100.1"),
        ("10.0.0.1", ["6.6.6.6, junk, 10.0.0.2"], "10.0.0.2"),
        ("10.0.0.1", [], "10.0.0.1"),
        ("::ffff:10.0.0.1", ["2001:db8::1"], "2001:db8::1"),
        (None, ["198.51.100.1"], "unknown"),
        # A zone means something on one machine only (RFC 4007 section 11): no address that anybody else could have.
        ("10.0.0.1", ["6.6.6.6, fe80::1%eth0"], "10.0.0.1"),
        ("10.0.0.1", ["fe80::1%eth0, 198.51.100.1"], "198.51.100.1"),
        ("10.0.0.1", ["2001:db8::1%0, 10.0.0.2"], "10.0.0.2"),
        ("10.0.0.1", ["::1%25eth0"], "10.0.0.1"),
        ("fe80::7%eth0", ["198.51.100.1"], "198.51.100.1"),  # the peer's own zone is the kernel's
        ("fe80::7%eth0", [], "fe80::7"),
        ("2001:db8::5%eth0", ["198.51.100.1"], "2001:db8::5"),
    ],
)
def test_the_client_is_the_nearest_address_that_is_no_trusted_proxy(
    peer: str | None, claims: list[str], address: str
) -> None:
    assert TrustedProxies(["10.0.0.0/8", "fe80::/10"]).client_address(peer, forwarded_for(*claims)) == address


def test_without_trusted_proxies_only_the_peer_counts() -> None:
    assert TrustedProxies().client_address("10.0.0.1", forwarded_for("1.1.1.1")) == "10.0.0.1"


@pytest.mark.parametrize(
    ("trusted", "peer", "claims", "address"),
    [
        ("10.0.0.0/8", "10.0.0.1", ["203.0.113.9"], "203.0.113.9"),
        ("10.0.0.0/8", "10.0.0.1", ["192.168.1.7"], "192.168.1.7"),  # people of an intranet
        ("10.0.0.0/8", "10.0.0.1", [], None),  # a probe of the proxy's own
        ("10.0.0.0/8", "10.0.0.1", ["10.0.0.2"], None),
        ("10.0.0.0/8", "172.17.0.1", ["203.0.113.9"], None),  # a forgotten proxy
        ("10.0.0.0/8", "8.8.8.8", ["203.0.113.9"], "8.8.8.8"),  # a stranger past the proxy
        ("", "8.8.8.8", ["203.0.113.9"], None),
        ("", "127.0.0.1", [], None),
        ("unix", None, ["203.0.113.9"], "203.0.113.9"),
        ("unix", None, [], None),
        ("10.0.0.0/8", None, ["203.0.113.9"], None),
    ],
)
def test_an_address_that_may_be_a_proxys_is_not_known_to_be_the_clients(
    trusted: str, peer: str | None, claims: list[str], address: str | None
) -> None:
    assert TrustedProxies(trusted.split()).known_client(peer, forwarded_for(*claims)) == address


def test_what_is_no_network_is_refused() -> None:
    with pytest.raises(ValueError, match="host bits"):
        TrustedProxies(["10.0.0.1/8"])
