import ssl
from pathlib import Path

from bff.provider.trust import authorities, public_authorities
from tests.harness.certificates import Authority


def test_a_configured_authority_replaces_the_public_ones(tmp_path: Path) -> None:
    ours = authorities(Authority(tmp_path, "ours").file)
    assert [dict(pair[0] for pair in found["subject"])["commonName"] for found in ours.get_ca_certs()] == ["ours"]
    assert authorities(None) is public_authorities()
    for context in (ours, public_authorities()):
        assert (context.verify_mode, context.check_hostname) == (ssl.CERT_REQUIRED, True)
