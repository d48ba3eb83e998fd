"""Every command block of every document is run by a test, or says here why none can."""

import re

from tests.harness.command_blocks import command_blocks
from tests.harness.places import ROOT

COMMANDS = "tests/journeys/process/test_documented_commands.py"
TEMPLATE = "test_step_3_shows_a_template_behind_the_development_server"
TUTORIAL = "tests/docs/test_tutorial.py"
EXAMPLES = "tests/proof/examples/test_as_shipped.py"
NO_ENGINE = (
    "needs a Docker engine and its registry; `make test-containers` brings up the same services, and "
    "`tests/proof/deploy` reads docker-compose.yml"
)
RUN_BY = {
    "README.md: Try it: two commands": f"{COMMANDS}::test_every_target_of_make_is_there_and_selects_tests",
    "README.md: Use it with a real Okta org": f"{COMMANDS}::test_the_installation",
    "README.md: Use it with a real Okta org #2": f"{EXAMPLES}::test_the_settings_of_a_document_are_right",
    "README.md: Use it with a real Okta org #3": f"{COMMANDS}::test_check_doctor_and_serve",
    "CONTRIBUTING.md: Set up": f"{COMMANDS}::test_every_target_of_make_is_there_and_selects_tests",
    "CONTRIBUTING.md: Tests": f"{COMMANDS}::test_every_target_of_make_is_there_and_selects_tests",
    "docs/cli.md: Where settings come from": f"{COMMANDS}::test_one_env_file_for_every_command",
    "docs/cli.md: Completion": f"{COMMANDS}::test_completion_for_three_shells",
    "docs/okta.md: By command": f"{COMMANDS}::test_the_way_to_a_new_org",
    "docs/okta.md: A new secret": f"{COMMANDS}::test_a_new_client_secret",
    "docs/operations.md: Rotate the session keys": f"{COMMANDS}::test_new_session_keys",
    "docs/operations.md: The client secret": f"{COMMANDS}::test_a_new_client_secret",
    "docs/operations.md: Sign everybody out": f"{COMMANDS}::test_signing_everybody_out",
    "docs/operations.md: Systemd #2": f"{EXAMPLES}::test_the_settings_of_a_document_are_right",
    "docs/tutorial/1-demo.md: Step 1: the demo": f"{TUTORIAL}::test_step_1_leads_to_a_signed_in_page",
    "docs/tutorial/2-okta.md: An app integration in Okta": f"{TUTORIAL}::test_steps_2_and_3_create_an_app_and_serve",
    "docs/tutorial/2-okta.md: Start the BFF": f"{TUTORIAL}::test_steps_2_and_3_create_an_app_and_serve",
    "docs/tutorial/3-your-spa.md: A template, with hot reloading": f"{TUTORIAL}::{TEMPLATE}",
    "docs/tutorial/3-your-spa.md: A template, with hot reloading #2": f"{TUTORIAL}::{TEMPLATE}",
    "docs/tutorial/3-your-spa.md: With your Okta org": f"{TUTORIAL}::test_steps_2_and_3_create_an_app_and_serve",
    "docs/tracing.md: From an error to the log": f"{COMMANDS}::test_a_reference_leads_to_its_log_lines",
}
NO_CLUSTER = "needs a cluster; `make test-deploy` renders the chart, and `bff check` accepts its settings"
RUN_BY["examples/fastapi-app/README.md: A FastAPI application with the BFF installed"] = (
    "tests/proof/servers/test_example.py::test_the_commands_of_the_readme"
)
NOT_RUN = {
    "docs/kubernetes.md: Install": NO_CLUSTER,
    "docs/kubernetes.md: Install #2": NO_CLUSTER,
    "docs/kubernetes.md: Install #3": NO_CLUSTER,
    "docs/operations.md: Systemd": "needs systemd and root; `make test-deploy` verifies the unit",
    "README.md: Use it with a real Okta org #4": NO_ENGINE,
    "docs/containers.md: In containers": NO_ENGINE,
    "docs/containers.md: Upgrades": NO_ENGINE,
}


def test_every_block_is_run_or_has_a_reason() -> None:
    assert command_blocks().keys() == {*RUN_BY, *NOT_RUN}
    assert not RUN_BY.keys() & NOT_RUN.keys()


def test_the_test_of_a_block_exists_and_reads_that_block() -> None:
    for place, test in RUN_BY.items():
        path, _, name = test.partition("::")
        source = (ROOT / path).read_text("utf-8")
        assert re.search(rf"(?m)^(async )?def {name}\(", source), test
        assert path in (EXAMPLES, TUTORIAL) or f'command_block("{place}")' in source, place
