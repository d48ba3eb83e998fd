"""A pytest plugin that reports assertions that cannot fail because they look at nothing.

    PYTHONPATH=. .venv/bin/pytest -p scripts.vacuous_assertions -m "not long" -n 2 tests/unit

It rewrites the tests as they are imported, counts what each assertion saw in the whole run, and writes
`var/vacuous-assertions.txt`: assertions that were never reached, comprehensions over nothing, `not in` an empty
container, subsets and equals of empty collections, searches by a regular expression that never match, and tests that
passed without any assertion. Each line needs a reader: a part of the tests reaches only a part of the harness, and an
assertion that nothing bad was found may rightly look at an empty list of bad things.
"""

from __future__ import annotations

import ast
import json
import os
import sys
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import _pytest.assertion.rewrite as rewrite
import pytest

ROOT = Path(__file__).resolve().parents[1]
REPORT = ROOT / "var" / "vacuous-assertions.txt"
SEARCHES = ("findall", "finditer")
EXPECTATIONS = ("raises", "warns", "until")  # calls that fail by themselves

Site = tuple[str, int, int, str]  # file, line, column, and what is missing if its count stays 0
_seen: dict[Site, int] = {}
_of_this_test = 0


class Probes:
    """What the rewritten tests call. Each returns its value unchanged."""

    def __init__(self, sites: list[Site]) -> None:
        self._sites = sites

    def reached(self, index: int) -> None:
        global _of_this_test
        _of_this_test += 1
        _seen[self._sites[index]] += 1

    def value(self, index: int, value: Any) -> Any:
        """An expression that was evaluated at all."""
        _seen[self._sites[index]] += 1
        return value

    def expected(self, index: int, value: Any) -> Any:
        self.reached(index)
        return value

    def iterated(self, index: int, value: Iterable[Any]) -> Iterator[Any]:
        for item in value:
            _seen[self._sites[index]] += 1
            yield item

    def sized(self, index: int, value: Any) -> Any:
        try:
            _seen[self._sites[index]] += len(value)
        except TypeError:  # no collection
            _seen[self._sites[index]] += 1
        return value


class Instrument(ast.NodeTransformer):
    def __init__(self, file: str) -> None:
        self.file = file
        self.sites: list[Site] = []
        self._asserting = False

    def _probe(self, name: str, node: ast.AST, missing: str, *arguments: ast.expr) -> ast.Call:
        line, column = getattr(node, "lineno", 0), getattr(node, "col_offset", 0)
        self.sites.append((self.file, line, column, missing))
        probe = ast.Attribute(ast.Name("__probes__", ast.Load()), name, ast.Load())
        call = ast.Call(probe, [ast.Constant(len(self.sites) - 1), *arguments], [])
        return ast.fix_missing_locations(ast.copy_location(call, node))

    def visit_Assert(self, node: ast.Assert) -> list[ast.stmt]:
        reached = ast.Expr(self._probe("reached", node, "never reached"))
        self._asserting = True
        node.test = self.visit(node.test)
        self._asserting = False
        return [ast.fix_missing_locations(ast.copy_location(reached, node)), node]

    def visit_Call(self, node: ast.Call) -> ast.expr:
        name = ast.unparse(node.func).rpartition(".")[2]
        (only,) = node.args if len(node.args) == 1 else (None,)
        if name in ("all", "any") and isinstance(only, ast.GeneratorExp) and only.generators[0].ifs:
            only.elt = self._probe("value", node, f"{name}() of nothing that its `if` lets through", only.elt)
        self.generic_visit(node)
        if name in SEARCHES:
            if name == "finditer":
                return self._probe("iterated", node, "a search that never matches", node)
            return self._probe("sized", node, "a search that never matches", node)
        if name in EXPECTATIONS:
            return self._probe("expected", node, "never expected", node)
        return node

    def visit_Compare(self, node: ast.Compare) -> ast.expr:
        self.generic_visit(node)
        if not self._asserting or len(node.ops) != 1:
            return node
        (operator,), (right,) = node.ops, node.comparators
        if isinstance(operator, ast.NotIn):
            node.comparators = [self._probe("sized", node, "`not in` something empty", right)]
        elif isinstance(operator, ast.LtE) and not isinstance(node.left, ast.Constant):
            node.left = self._probe("sized", node, "`<=` of something empty", node.left)
        elif isinstance(operator, ast.Eq) and not (is_empty(node.left) or is_empty(right)):
            node.left = self._probe("sized", node, "`==` of something empty", node.left)
        return node

    def _comprehension(self, node: Any) -> Any:
        self.generic_visit(node)
        for part in node.generators:
            if not part.is_async:
                part.iter = self._probe("iterated", part.iter, "a comprehension over nothing", part.iter)
        return node

    visit_GeneratorExp = visit_ListComp = visit_SetComp = visit_DictComp = _comprehension  # noqa: N815


def is_empty(node: ast.expr) -> bool:
    """Whether the empty collection is what is expected."""
    return ast.unparse(node) in ("[]", "()", "{}", "''", "b''", "set()", "0", "Counter()")


def instrument(tree: ast.Module, file: str) -> None:
    if not tree.body:
        return
    transformer = Instrument(file)
    transformer.visit(tree)
    _seen.update({site: 0 for site in transformer.sites if site not in _seen})
    _registry[file] = Probes(transformer.sites)
    after = 0
    for after, statement in enumerate(tree.body):  # noqa: B007
        doc = isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)
        if not doc and not (isinstance(statement, ast.ImportFrom) and statement.module == "__future__"):
            break
    setup = ast.parse(f"import sys; __probes__ = sys.modules[{__name__!r}]._registry[{file!r}]").body
    for statement in setup:
        ast.fix_missing_locations(ast.copy_location(statement, tree.body[0]))
    tree.body[after:after] = setup


_registry: dict[str, Probes] = {}
_without: list[str] = []  # tests that passed without an assertion


def pytest_configure(config: pytest.Config) -> None:
    sys.pycache_prefix = tempfile.mkdtemp()  # cached bytecode of other runs is not instrumented
    os.environ.setdefault("VACUOUS_ASSERTIONS", tempfile.mkdtemp())  # where the workers leave their counts
    original = rewrite.rewrite_asserts

    def rewrite_asserts(tree: ast.Module, source: bytes, module_path: str | None = None, *rest: Any) -> None:
        if module_path and Path(module_path).is_relative_to(ROOT / "tests"):
            instrument(tree, str(Path(module_path).relative_to(ROOT)))
        original(tree, source, module_path, *rest)

    rewrite.rewrite_asserts = rewrite_asserts


pytest.register_assert_rewrite("tests")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Any:
    global _of_this_test
    _of_this_test = 0
    result = yield
    if not _of_this_test:
        _without.append(item.nodeid)
    return result


def pytest_unconfigure(config: pytest.Config) -> None:
    directory = Path(os.environ["VACUOUS_ASSERTIONS"])
    counts = {json.dumps(site): count for site, count in _seen.items()}
    own = directory / f"{os.getpid()}.json"
    own.write_text(json.dumps({"seen": counts, "without": _without}))
    if hasattr(config, "workerinput"):
        return
    total: dict[str, int] = {}
    without: set[str] = set()
    for path in directory.glob("*.json"):
        content = json.loads(path.read_text())
        without |= set(content["without"])
        for site, count in content["seen"].items():
            total[site] = total.get(site, 0) + count
    empty = sorted(json.loads(site) for site, count in total.items() if not count)
    lines = [f"{file}:{line}:{column} {missing}" for file, line, column, missing in empty]
    lines += [f"{test} has no assertion" for test in sorted(without)]
    REPORT.parent.mkdir(exist_ok=True)
    REPORT.write_text("".join(f"{line}\n" for line in lines))
