"""Rules of the tests themselves: time is an argument, unit tests wait for nothing, every package has unit tests."""

import ast
from collections.abc import Iterator
from pathlib import Path

from tests.harness.places import ROOT, TESTS

UNIT = TESTS / "unit"
# Modules that only a process of their own shows: tests/journeys/process starts them.
STARTED_AS_A_PROCESS = {"bff.__main__"}


def relative(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def calls(folder: Path) -> Iterator[tuple[str, ast.Call]]:
    for path in sorted(folder.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call):
                yield f"{relative(path)}:{node.lineno}", node


def patched_constant(call: ast.Call) -> str:
    """The constant that `setattr(target, "NAME", ...)` or `setattr("package.module.NAME", ...)` replaces, or ""."""
    if not ast.unparse(call.func).endswith("setattr"):
        return ""
    texts = [argument.value for argument in call.args[:2] if isinstance(argument, ast.Constant)]
    names = [str(text).rpartition(".")[2] for text in texts]
    return next((name for name in names if name.isupper()), "")


def test_no_test_patches_a_constant() -> None:
    patched = [f"{place}: {name}" for place, call in calls(TESTS) if (name := patched_constant(call))]
    assert patched == [], "make the value an argument of the constructor, with the production value as its default"


def test_no_unit_test_sleeps() -> None:
    sleeping = [place for place, call in calls(UNIT) if ast.unparse(call.func).rpartition(".")[2] == "sleep"]
    assert sleeping == [], "let the clock be an argument, or wait for an event; harness.waiting.loop_turns for a turn"


def has_logic(path: Path) -> bool:
    """Whether a module has a function that does something: no declarations of constants, records and protocols only."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            statements = [statement for statement in node.body if not is_text_or_dots(statement)]
            if statements and not all(isinstance(statement, ast.Pass | ast.Raise) for statement in statements):
                return True
    return False


def is_text_or_dots(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)


def imported(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def untested() -> tuple[list[str], list[str]]:
    """The packages of which no module is imported by a unit test, and the modules with logic."""
    paths = [path for path in sorted((ROOT / "bff").rglob("*.py")) if path.name != "__init__.py" and has_logic(path)]
    modules = {".".join(path.relative_to(ROOT).with_suffix("").parts) for path in paths}
    tested = modules & {name for path in UNIT.rglob("*.py") for name in imported(path)}
    packages, reached = ({name.rpartition(".")[0] for name in names} for names in (modules, tested))
    return sorted(packages - reached), sorted(modules - tested - STARTED_AS_A_PROCESS)


def test_every_package_is_imported_by_unit_tests() -> None:
    packages, modules = untested()
    print(f"{len(modules)} modules that no unit test imports: {', '.join(modules)}")
    assert packages == [], "a file in tests/unit has to import and test it"
