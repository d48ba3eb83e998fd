"""Rules over several settings hold in every order of declaration, and no invalid value hides them."""

import itertools
import json

import pytest
from pydantic import BaseModel, Field, ValidationError

from bff.config.browser import SpaSettings
from bff.config.load import load
from bff.config.refresh import RefreshSettings
from bff.config.section import FROZEN, leaves, over
from bff.config.settings import Settings, load_settings
from bff.config.validators import invalid
from tests.harness.settings import RIGHT, problems, with_changes

FORWARD_AUTH = {"forward_auth_listen": "127.0.0.1:8081", "trusted_proxies": "127.0.0.1"}


class First(BaseModel):
    model_config = FROZEN
    first: int = 1


class Second(BaseModel):
    model_config = FROZEN
    second: int = Field(default=1, validation_alias="the_second")


class Ruled(BaseModel):
    @over("first", "the_second")
    def _together(self) -> None:
        if (self.first, self.second) == (2, 2):  # type: ignore[attr-defined]
            raise invalid("is 2, and the_second is 2.", "Change one.")


@pytest.mark.parametrize("bases", [*itertools.permutations([First, Second, Ruled])])
def test_a_rule_holds_in_every_order_of_base_classes(bases: tuple[type[BaseModel], ...]) -> None:
    model = type("Both", bases, {"__module__": __name__})
    with pytest.raises(ValidationError, match=r"the_second is 2"):
        model(first=2, second=2)
    assert model(first=2, second=1).first == 2


@pytest.mark.parametrize("sections", [*itertools.permutations(["provider", "forward_auth", "server"])])
def test_forward_auth_with_dpop_is_refused_in_every_order_of_sections(sections: tuple[str, ...]) -> None:
    right = load_settings(with_changes(**FORWARD_AUTH))
    values = {name: getattr(right, name) for name in Settings.model_fields}
    values["provider"] = load_settings(with_changes(dpop="on")).provider
    ordered = {name: values[name] for name in (*sections, *values)}
    with pytest.raises(ValidationError, match="a proxy cannot use DPoP-bound tokens"):
        Settings(**ordered)


def test_no_invalid_value_hides_that_forward_auth_excludes_dpop() -> None:
    for name in sorted(set(leaves(Settings)) - {"dpop", "forward_auth_listen", "forward_auth_token", "routes"}):
        reported = problems(with_changes(**{"dpop": "on", **FORWARD_AUTH, name: "\x00"}))
        assert "dpop is on" in reported["BFF_FORWARD_AUTH_LISTEN"], name


def test_every_problem_is_reported_at_once() -> None:
    routes = [
        {"prefix": "/api/", "upstream": "https://a.internal"},
        {"prefix": "/authorization-code", "upstream": "https://b.internal", "timeout": 0},
        {"prefix": "/c", "upstream": "http://c.internal", "token": "none", "scopes": ["email"]},
    ]
    reported = problems(
        with_changes(
            issuer=None,
            clock_skew="999",
            idle_timeout="10",
            absolute_timeout="5",
            refresh_lease="8",
            client_auth="private_key_jwt",
            landing_path="/authorization-code/callback",
            routes=json.dumps(routes),
            dpop="on",
            **FORWARD_AUTH,
        )
    )
    assert set(reported) == {
        *("BFF_ISSUER", "BFF_CLOCK_SKEW", "BFF_ABSOLUTE_TIMEOUT", "BFF_REFRESH_LEASE", "BFF_CLIENT_PRIVATE_KEY"),
        *("BFF_LANDING_PATH", "BFF_FORWARD_AUTH_LISTEN", "BFF_ROUTES"),
        *("BFF_ROUTES[0].prefix", "BFF_ROUTES[1].timeout", "BFF_ROUTES[2].allow_http", "BFF_ROUTES[2].scopes"),
    }


def test_a_rule_over_an_invalid_value_is_not_reported() -> None:
    """The default that stands in for refresh_timeout is 8; a lease of 5 contradicts that only."""
    assert list(problems(with_changes(refresh_timeout="soon", refresh_lease="5"))) == ["BFF_REFRESH_TIMEOUT"]


def test_every_required_setting_has_an_example_that_is_valid() -> None:
    with pytest.raises(Exception, match="is missing"):
        load(Settings, {})
    required = {name: leaf.field.examples for name, leaf in leaves(Settings).items() if leaf.field.is_required()}
    assert all(required.values())
    environ = {f"BFF_{name.upper()}": str(examples[0]) for name, examples in required.items() if examples}
    load_settings({**environ, "BFF_CLIENT_SECRET": RIGHT["BFF_CLIENT_SECRET"]})


def test_public_names_are_flat_and_declared_once() -> None:
    assert leaves(Settings)["refresh_grace"].path == ("refresh", "grace")
    assert leaves(Settings)["issuer"].path == ("provider", "issuer")

    class Twice(BaseModel):
        spa: SpaSettings
        spa_dir: str

    with pytest.raises(TypeError, match="spa_dir"):
        leaves(Twice)


def test_a_section_is_valid_on_its_own_or_not_built() -> None:
    assert RefreshSettings(timeout=4, lease=5).lease == 5
    with pytest.raises(ValidationError, match="is not longer than refresh_timeout"):
        RefreshSettings(timeout=5, lease=5)
