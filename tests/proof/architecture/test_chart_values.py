"""What the chart knows of the BFF, without rendering it: the names of the settings, and the version."""

import json
from typing import Any

import yaml

from bff import __version__
from bff.config.section import leaves
from bff.config.settings import SECRETS, Settings
from tests.harness.places import ROOT

CHART = ROOT / "deploy" / "helm" / "okta-bff"
SCHEMA: dict[str, Any] = json.loads((CHART / "values.schema.json").read_text("utf-8"))["properties"]
# Set by the chart from other values.
OWN = {"listen", "management_listen", "forward_auth_listen", "drain_delay"}
# Their URLs may be without a password.
URLS = {"store", "provider_proxy"}


def test_its_schema_has_every_setting_and_keeps_secrets_out_of_the_values() -> None:
    names = set(leaves(Settings))
    for place, known, wanted in (
        ("settings", SCHEMA["settings"]["properties"], names - OWN - (SECRETS - URLS)),
        ("secret.keys", SCHEMA["secret"]["properties"]["keys"]["items"]["enum"], SECRETS),
        ("secret.values", SCHEMA["secret"]["properties"]["values"]["properties"], SECRETS),
    ):
        difference = sorted(set(known) ^ wanted)
        assert not difference, f"add or remove in {place} of deploy/helm/okta-bff/values.schema.json: {difference}"


def test_its_schema_has_every_value_of_the_values_file() -> None:
    values = yaml.safe_load((CHART / "values.yaml").read_text("utf-8"))
    assert values.keys() == SCHEMA.keys() - {"global"}
    for name, value in values.items():
        if isinstance(value, dict) and name not in ("settings", "resources") and "properties" in SCHEMA[name]:
            assert value.keys() == SCHEMA[name]["properties"].keys(), name


def test_it_has_the_version_of_the_application() -> None:
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text("utf-8"))
    assert (chart["version"], chart["appVersion"]) == (__version__, __version__)
