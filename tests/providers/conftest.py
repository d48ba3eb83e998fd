"""One process of each provider for the whole run, and the table of what was seen."""

from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest
import pytest_asyncio

from tests.providers.hydra.provider import Hydra
from tests.providers.interoperability import Interoperability
from tests.providers.keycloak.provider import Keycloak
from tests.providers.oidc_provider.provider import OidcProvider
from tests.providers.provider import Provider

PROVIDERS: tuple[type[Provider], ...] = (OidcProvider, Keycloak, Hydra)
CAPABILITIES: dict[str, Callable[[type[Provider]], tuple[str, ...]]] = {
    "id_token_algorithm": lambda provider: provider.id_token_algorithms,
    "encryption": lambda provider: tuple(" ".join(names) for names in provider.encryptions),
    "userinfo_algorithm": lambda provider: provider.userinfo_algorithms,
    "client_key_algorithm": lambda provider: provider.client_key_algorithms,
    "kept_refresh_token": lambda provider: ("kept",) if provider.keeps_refresh_tokens else (),
    "fapi_algorithm": lambda provider: ("PS256",) if provider.dpop and provider.par else (),
    "audience_kind": lambda provider: (provider.audience_kind,) if provider.audience_kind else (),
    "dpop_algorithm": lambda provider: ("ES256",) if provider.dpop else (),
}
TABLE = Interoperability(PROVIDERS)
COLLECTED: set[tuple[str, str]] = set()  # test and provider


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "provider" not in metafunc.fixturenames:
        return
    capability = next((name for name in CAPABILITIES if name in metafunc.fixturenames), None)
    if capability is None:
        COLLECTED.update((metafunc.function.__name__, each.name) for each in PROVIDERS)
        metafunc.parametrize("provider", PROVIDERS, indirect=True, ids=lambda each: each.name, scope="session")
        return
    pairs = [(each, value) for each in PROVIDERS for value in CAPABILITIES[capability](each)]
    COLLECTED.update((metafunc.function.__name__, each.name) for each, _ in pairs)
    ids = [f"{each.name}-{value}" for each, value in pairs]
    metafunc.parametrize(("provider", capability), pairs, indirect=["provider"], ids=ids, scope="session")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """One provider after another: by itself pytest takes turns, and would start each of them a dozen times."""
    places = [place for place, item in enumerate(items) if _provider_of(item) is not None]
    ours = sorted((items[place] for place in places), key=lambda item: PROVIDERS.index(_provider_of(item)))
    for place, item in zip(places, ours, strict=True):
        items[place] = item


def _provider_of(item: pytest.Item) -> Any:
    callspec = getattr(item, "callspec", None)
    found = None if callspec is None else callspec.params.get("provider")
    return found if found in PROVIDERS else None


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def provider(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Provider]:
    running: Provider = request.param(tmp_path_factory.mktemp(request.param.name))
    await running.start()
    try:
        yield running
    finally:
        await running.stop()


@pytest.fixture
def seen(request: pytest.FixtureRequest, provider: Provider) -> Iterator[Callable[[str], None]]:
    """Records what the table says about this journey at this provider, if the test passes."""
    said: list[str] = []
    yield said.append
    TABLE.passed(request.function.__name__, type(provider), " ".join(said))


def pytest_sessionfinish(exitstatus: int) -> None:
    """Writes the table after a whole run without a failure."""
    if exitstatus == 0 and COLLECTED and not TABLE.missing(COLLECTED):
        TABLE.write()
