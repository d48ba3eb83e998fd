import json
from pathlib import Path

import pytest

from bff.config.settings import load_settings
from bff.errors import ConfigurationError
from bff.proxy.open_routes import route_table
from tests.harness.certificates import Authority
from tests.harness.settings import with_changes


def test_the_spa_of_a_development_server_is_the_route_around_all_others() -> None:
    routes = json.dumps([{"prefix": "/api", "upstream": "https://api.internal"}])
    alone = route_table(load_settings(with_changes(routes=routes)))
    assert [route.prefix for route in alone.routes] == ["/api"]
    table = route_table(load_settings(with_changes(routes=routes, spa_upstream="http://127.0.0.1:5173")))
    assert [route.prefix for route in table.routes] == ["/api", "/"]


@pytest.mark.parametrize("wrong", ["no certificate", "another's key", "no key at all"])
def test_unusable_tls_files_stop_the_start(tmp_path: Path, wrong: str) -> None:
    ours = Authority(tmp_path, "ours")
    one, other, text = ours.issue("one"), ours.issue("other"), tmp_path / "text"
    text.write_text("canary")
    files = {
        "no certificate": {"ca_file": text},
        "another's key": {"client_cert_file": one.cert, "client_key_file": other.key},
        "no key at all": {"client_cert_file": one.cert},
    }[wrong]
    named = {name: str(path) for name, path in files.items()}
    routes = json.dumps([{"prefix": "/api", "upstream": "https://api.internal", **named}])
    with pytest.raises(ConfigurationError, match="BFF_ROUTES") as refused:
        route_table(load_settings(with_changes(routes=routes)))
    assert "canary" not in str(refused.value)
