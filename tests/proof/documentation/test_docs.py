"""The tables for people are complete and true: every setting, every metric, every error code, and nothing invented."""

import importlib
import pkgutil
import re
import subprocess
import warnings
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import click
from fastapi import FastAPI
from pydantic_core import PydanticUndefined

import bff
from bff.admin.okta.settings import SECRETS as OKTA_SECRETS
from bff.admin.okta.settings import OktaSettings
from bff.app import build_app
from bff.cli.command_tree import tree
from bff.cli.exit_codes import TABLE as EXIT_CODES
from bff.config.browser import ENDPOINTS, SESSION_EVENTS
from bff.config.routes import Route
from bff.config.section import leaves
from bff.config.settings import SECRETS, Settings, load_settings
from bff.config.validators import EXAMPLE_KEY
from bff.errors import BffError
from bff.session.session import EndReason
from bff.telemetry import audit
from bff.telemetry.metrics import REGISTRY
from bff.web.auth.forward_auth import VERIFY
from bff.web.error_status import STATUS
from tests.harness.settings import with_changes

DOCS = Path(bff.__file__).parents[1] / "docs"
SETTINGS = (DOCS / "settings.md").read_text("utf-8")
METRICS = (DOCS / "metrics.md").read_text("utf-8")
COMMAND_LINE = (DOCS / "cli.md").read_text("utf-8")
OKTA = (DOCS / "okta.md").read_text("utf-8")
ERRORS = (DOCS / "errors.md").read_text("utf-8")
README = (DOCS.parent / "README.md").read_text("utf-8")
ROOT = DOCS.parent
TRACKED = subprocess.run(["git", "ls-files", "-z", "*.md"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
DOCUMENTS = sorted(ROOT / name for name in TRACKED.split("\0") if name and (ROOT / name).is_file())


def rows(text: str) -> dict[str, list[str]]:
    """Table rows by the code word in their first cell."""
    cells = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in text.splitlines() if line[:1] == "|"]
    return {row[0].strip(" `"): row[1:] for row in cells if row[0].startswith(" `") or row[0].startswith("`")}


def as_written(default: object) -> str:
    """A default as an operator would write it."""
    if isinstance(default, tuple):
        return f"`{' '.join(default)}`" if default else "none"
    if isinstance(default, bool):
        return f"`{str(default).lower()}`"
    return "none" if default is None else f"`{default}`"


def test_every_setting_is_in_the_table_with_its_default() -> None:
    table = rows(SETTINGS)
    for name, leaf in leaves(Settings).items():
        default, meaning, example = table[f"BFF_{name.upper()}"]
        if leaf.field.default is PydanticUndefined or name == "client_secret":
            assert default.startswith("required"), name
        else:
            assert default == as_written(leaf.field.default), name
        assert meaning and example, name  # noqa: PT018
        assert ("`_FILE` too" in meaning) is (name in SECRETS), name


def test_every_setting_of_bff_okta_is_in_its_table_with_its_default() -> None:
    table = rows(OKTA)
    for name, field in OktaSettings.model_fields.items():
        default, meaning = table[f"BFF_OKTA_{name.upper()}"]
        assert default == as_written(field.default), name
        assert ("`_FILE` too" in meaning) is (name in OKTA_SECRETS), name


def test_every_difference_that_a_plan_can_report_is_in_the_guide() -> None:
    sources = [path.read_text("utf-8") for path in Path(bff.__file__).parent.joinpath("admin", "okta").glob("*.py")]
    told = {name for text in sources for name in re.findall(r'Difference\(\s*"\w+",\s*"(\w+)"', text)}
    told |= {name for text in sources for name in re.findall(r'yield Property\(\s*"(\w+)"', text)}
    assert len(told) > 25
    guide = set(re.findall(r"`(\w+)`", OKTA))
    assert told - guide - {"sign_on_mode"} == set()


def test_every_key_of_a_route_is_in_the_table_with_its_default() -> None:
    table = rows(SETTINGS)
    for name, field in Route.model_fields.items():
        default, meaning = table[name]
        assert default == ("required" if field.default is PydanticUndefined else as_written(field.default)), name
        assert meaning, name


def test_no_setting_is_invented() -> None:
    known = {f"BFF_{name.upper()}" for name in leaves(Settings)}
    known |= {f"BFF_{name.upper()}_FILE" for name in SECRETS} | {"BFF_CONFIG", "BFF_", "BFF_X", "BFF_X_FILE"}
    known |= {"BFF_SERVICE_HOST", "BFF_PORT", "BFF_REDIS_PORT_"}  # of Kubernetes, which are ignored
    known.add("BFF_URL")  # of the Vite plugin of the npm package
    known |= {f"BFF_OKTA_{name.upper()}" for name in OktaSettings.model_fields}
    known |= {f"BFF_OKTA_{name.upper()}_FILE" for name in OKTA_SECRETS} | {"BFF_OKTA_"}
    for document in DOCS.rglob("*.md"):
        assert set(re.findall(r"\bBFF_[A-Z_]*", document.read_text("utf-8"))) <= known, document.name


def test_the_example_key_is_the_one_that_is_refused() -> None:
    assert re.findall(r"`([A-Za-z0-9_-]{43})`", SETTINGS) == [EXAMPLE_KEY]


def exposed() -> dict[str, tuple[str, list[str]]]:
    """Kind and labels of each metric, under the name that a query uses."""
    found = {}
    for collector in list(REGISTRY._collector_to_names):
        (family,) = collector.collect()
        name = f"{family.name}_total" if family.type == "counter" else family.name
        found[name] = (family.type, list(getattr(collector, "_labelnames", ())))
    return found


def test_every_metric_is_in_the_table_with_its_kind_and_labels_and_none_is_invented() -> None:
    told = {
        name: (row[0], re.findall(r"`(\w+)`", row[1])) for name, row in rows(METRICS).items() if name.startswith("bff_")
    }
    assert told == exposed()


def test_every_metric_named_in_a_document_exists() -> None:
    for document in DOCS.rglob("*.md"):
        names = set(re.findall(r"\bbff_[a-z_]+", document.read_text("utf-8")))
        assert names <= exposed().keys(), document.name


def errors() -> Iterator[type[BffError]]:
    for module in pkgutil.walk_packages(bff.__path__, "bff."):
        if module.name != "bff.__main__":
            importlib.import_module(module.name)
    waiting: list[type[BffError]] = [BffError]
    while waiting:
        error = waiting.pop()
        waiting += error.__subclasses__()
        if error.__module__.startswith("bff."):
            yield error


def test_every_error_code_is_in_the_table_with_its_status_and_none_is_invented() -> None:
    documented = {code: row[0] for code, row in rows(ERRORS).items()}
    assert documented == {error.code: str(STATUS.get(error.code, "none")) for error in errors()}


def test_every_error_says_when_and_what_to_do() -> None:
    for code, row in rows(ERRORS).items():
        assert len(row) == 3, code
        assert re.match(r"(SPA|User|Operator): ", row[2]), code


def fastapi_apps(app: object) -> Iterator[FastAPI]:
    """FastAPI's applications among the layers of ours."""
    if isinstance(app, FastAPI):
        yield app
    elif type(app).__module__.startswith("bff."):
        for inner in getattr(app, "__dict__", {}).values():
            yield from fastapi_apps(inner)


async def test_every_public_route_is_in_the_readme(tmp_path: Path) -> None:
    app = build_app(load_settings(with_changes(store=f"sqlite:///{tmp_path / 'bff.db'}", security_events="push")))
    (own,) = set(fastapi_apps(app.public))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about operation ids, which nobody here uses
        paths = set(own.openapi()["paths"])
    await app.stores.sessions.close()
    assert {"/auth/login", "/auth/session", "/auth/logout", "/authorization-code/callback"} <= paths
    told = set(re.findall(r"`(?:[A-Z|]+ )?(/[^`?\s]*)", README))
    assert paths - told == set()
    # No callback may stand on one of them: it would be answered by the other.
    assert paths - {"/authorization-code/callback"} == ENDPOINTS - {VERIFY.decode(), SESSION_EVENTS}


def test_every_event_of_the_audit_trail_is_in_its_table_with_its_level_and_none_is_invented() -> None:
    events = (DOCS / "audit.md").read_text("utf-8").partition("## Events")[2]
    levels = {event.value: "info" if event in audit.RARE else "warning" for event in audit.AuditEvent}
    assert {name: row[0] for name, row in rows(events).items()} == levels


def test_every_reason_is_in_the_table_and_none_is_invented() -> None:
    told = set(rows((DOCS / "sessions.md").read_text("utf-8").partition("## Ending sessions")[0]))
    assert told - {"reason"} == {reason.value for reason in EndReason}


def commands(command: click.Command, path: str) -> Iterator[tuple[str, set[str]]]:
    """Every command that can be given, like `bff keys new`, with its options."""
    ctx = click.Context(command, info_name=path)
    if isinstance(command, click.Group):
        for name in command.list_commands(ctx):
            inner = command.get_command(ctx, name)
            assert inner is not None
            yield from commands(inner, f"{path} {name}")
    if not isinstance(command, click.Group) or command.invoke_without_command:
        yield path, {option for parameter in command.get_params(ctx) for option in parameter.opts}


COMMANDS = dict(commands(tree, "bff"))


def test_every_command_is_documented() -> None:
    tables = COMMAND_LINE + OKTA
    assert [command for command in COMMANDS if not re.search(rf"`{re.escape(command)}\b", tables)] == []


def test_no_command_and_no_option_is_invented() -> None:
    groups = {" ".join(name.split()[:2]) for name in COMMANDS}
    for document in DOCUMENTS:
        text = document.read_text("utf-8")
        for spelled in re.findall(r"(?:^|[`(;] ?)(bff [a-z][^`\n#&|>)]*)", text, re.MULTILINE):
            words = spelled.split()
            group = " ".join(words[:2]) in groups - COMMANDS.keys() and re.fullmatch(r"[a-z-]+", " ".join(words[2:3]))
            command = " ".join(words[: 3 if group else 2])
            assert command in COMMANDS or command in groups, (document.name, spelled)
            allowed = set().union(*(options for name, options in COMMANDS.items() if name.startswith(command)))
            assert {word.strip(",;.") for word in words if word.startswith("--")} <= allowed, (document.name, spelled)


def test_the_table_of_exit_codes_is_that_of_the_program() -> None:
    section = COMMAND_LINE.partition("## Exit codes")[2].partition("\n## ")[0]
    listed = [tuple(line.strip("| ").split(" | ")) for line in section.splitlines() if re.match(r"\| \d", line)]
    expected = []
    for row in EXIT_CODES:
        names = ", ".join(f"`bff {name}`" for name in row.commands.split(", ")).replace("`bff all`", "all")
        names = names.replace("`bff all but ", "all but `bff ")
        expected.append((str(row.code), names, row.meaning))
    assert listed == expected


@cache
def slugs(document: Path) -> set[str]:
    """The anchors that a Markdown document has, as GitHub makes them of its headings."""
    found: dict[str, int] = {}
    prose = re.sub(r"^```.*?^```", "", document.read_text("utf-8"), flags=re.MULTILINE | re.DOTALL)
    for heading in re.findall(r"^#+ +(.+?) *$", prose, re.MULTILINE):
        slug = re.sub(r"[^\w\- ]", "", re.sub(r"\[([^]]*)]\([^)]*\)", r"\1", heading).lower()).replace(" ", "-")
        found[slug] = found.get(slug, -1) + 1
    return {slug if n == 0 else f"{slug}-{n}" for slug, times in found.items() for n in range(times + 1)}


def test_every_relative_link_leads_to_a_file_and_a_heading() -> None:
    broken = []
    for document in DOCUMENTS:
        prose = re.sub(r"^```.*?^```|`[^`\n]*`", "", document.read_text("utf-8"), flags=re.MULTILINE | re.DOTALL)
        for link in re.findall(r"\]\(([^)\s]+)\)", prose):
            if re.match(r"[a-z]+:", link):
                continue
            path, _, anchor = link.partition("#")
            target = (document.parent / path).resolve() if path else document
            if not target.exists() or (anchor and anchor not in slugs(target)):
                broken.append(f"{document.relative_to(ROOT)}: {link}")
    assert broken == []


def test_every_file_named_in_a_document_exists() -> None:
    path = re.compile(r"(?<![\w./-])((?:bff|bench|demo|deploy|docs|examples|scripts|tests)/[\w./-]*[\w/])")
    missing = []
    for document in DOCUMENTS:
        named = set(path.findall(document.read_text("utf-8")))
        missing += [f"{document.relative_to(ROOT)}: {name}" for name in named if not (ROOT / name).exists()]
    assert missing == []
