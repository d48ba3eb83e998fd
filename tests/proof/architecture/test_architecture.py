"""The shape of the code: layers, docstrings, sizes, names, lock files, and what no tracked file may contain."""

import ast
import itertools
import re
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.harness.places import ROOT

PRODUCT = sorted((ROOT / "bff").rglob("*.py"))
SOURCES = [*PRODUCT, *sorted((ROOT / "demo").rglob("*.py"))]
PURE = [path for path in PRODUCT if path.parent.name in {"oidc", "session"}]
# Beyond what import-linter can express: modules inside of packages, and further ways to the outside.
IMPURE = {
    *("asyncio", "threading", "multiprocessing", "subprocess", "concurrent", "queue", "selectors", "signal"),
    *("time", "datetime", "calendar", "random", "uuid", "os", "sys", "pathlib", "io", "tempfile", "shutil"),
    *("socket", "ssl", "http", "urllib.request", "sqlite3", "logging", "warnings"),
    *("httpx", "websockets", "redis", "fastapi", "starlette", "uvicorn", "anyio", "prometheus_client"),
    *("pydantic", "pydantic_settings"),
}
SAYS_NOTHING = {"utils", "util", "helpers", "helper", "common", "manager", "service", "base", "misc", "shared", "core"}


def relative(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def imported(path: Path) -> Iterator[str]:
    """Every module that a file imports anywhere, also inside of functions."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{relative(path)}: imports are absolute, so that the layer shows"
            yield str(node.module)
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def reaches(path: Path, modules: set[str]) -> list[str]:
    return [
        name for name in imported(path) if any(name == module or name.startswith(module + ".") for module in modules)
    ]


def test_a_pure_package_imports_no_network_no_clock_and_no_framework() -> None:
    assert {relative(path): names for path in PURE if (names := reaches(path, IMPURE))} == {}


def test_one_file_imports_jose() -> None:
    assert {relative(path) for path in PRODUCT if reaches(path, {"jose"})} == {"bff/oidc/jws.py"}


def test_the_product_imports_no_demo_and_the_demo_no_product() -> None:
    assert [relative(path) for path in PRODUCT if reaches(path, {"demo", "tests", "bench"})] == []
    assert [relative(path) for path in SOURCES if path not in PRODUCT and reaches(path, {"bff"})] == []


def test_every_file_is_short_has_a_docstring_and_a_meaningful_name() -> None:
    for path in SOURCES:
        text = path.read_text("utf-8")
        assert text.count("\n") <= 300, relative(path)
        docstring = ast.get_docstring(ast.parse(text))
        assert docstring, relative(path)
        words = {word for part in path.relative_to(ROOT).with_suffix("").parts for word in part.split("_")}
        assert not words & SAYS_NOTHING, relative(path)
        if path.name == "__init__.py":
            assert 3 <= len(docstring.splitlines()) <= 10, f"{relative(path)}: say what the package owns"
            # The public API of `import bff` is imported when it is used.
            allowed = ["importlib"] if path.parent.name == "bff" else []
            assert list(imported(path)) == allowed, f"{relative(path)} re-exports"


# --- lock files


LOCKS = ("requirements.lock", "requirements-otel.lock", "requirements-dev.lock")
BUILD_LOCK = "requirements-build.lock"


def pinned(name: str) -> set[str]:
    """The requirements of a lock with their versions, without hashes and markers."""
    return set(re.findall(r"(?m)^[a-z0-9][^ ;\\]+", (ROOT / name).read_text("utf-8")))


def test_each_lock_holds_the_one_before_it_at_the_same_versions() -> None:
    for smaller, larger in itertools.pairwise(LOCKS):
        assert pinned(smaller) <= pinned(larger)


def test_the_lock_for_building_the_wheel_is_a_part_of_the_largest() -> None:
    assert pinned(BUILD_LOCK) <= pinned(LOCKS[-1])


def test_the_lock_for_building_the_wheel_has_what_the_build_needs() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    for required in project["build-system"]["requires"]:
        assert any(entry.startswith(f"{required}==") for entry in pinned(BUILD_LOCK))


@pytest.mark.case("OP-012")
def test_a_lock_pins_by_hash_and_names_no_host() -> None:
    pinned_entry = re.compile(
        r"[a-z0-9][a-z0-9._-]*(\[[a-z,]+\])?==[^\s;@]+( ; [^#@]+?)?(\s+--hash=sha256:[0-9a-f]{64})+"
    )
    for name in (*LOCKS, BUILD_LOCK):
        logical = re.sub(r"\\\n", " ", (ROOT / name).read_text("utf-8")).splitlines()
        entries = [line.strip() for line in logical if line.strip() and not line.lstrip().startswith("#")]
        assert len(entries) > (20 if name in LOCKS else 0)
        assert [entry[:80] for entry in entries if not pinned_entry.fullmatch(entry)] == []
        assert "://" not in "\n".join(logical)


# --- every tracked file


def tracked() -> list[Path]:
    done = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True)
    return [path for name in done.stdout.split("\0") if name and (path := ROOT / name).is_file()]


# Put together here, so that this file does not hold what it looks for.
HOSTS = [
    *(f"{name}.org" for name in ("py" + "pi", "python" + "hosted", "npm" + "js", "cra" + "tes")),
    *("npm" + "js.com", "registry.yarn" + "pkg", "deb.deb" + "ian", "security.deb" + "ian", "archive.ubu" + "ntu"),
    *("proxy.gol" + "ang", "rubyg" + "ems.org", "index.cra" + "tes", "static.cra" + "tes"),
]
MACHINE_PATHS = [
    r"(?<![\w.~-])/wo" + r"rk/",
    r"(?<![\w.~-])/ro" + r"ot/",
    r"(?<![\w.~-])/(ho" + r"me|Us" + r"ers)/(?!(me|you|user|app)\b)\w",
    r"C:\\+Us" + r"ers",
    "file:/" + "//(?!etc/passwd|evil[.])",  # these two are hostile inputs of our tests
]
FORBIDDEN = re.compile("|".join([*map(re.escape, HOSTS), *MACHINE_PATHS]))


def test_no_tracked_file_names_a_registry_or_a_path_of_a_machine() -> None:
    found = []
    for path in tracked():
        for number, line in enumerate(path.read_text("utf-8", errors="replace").splitlines(), 1):
            if match := FORBIDDEN.search(line):
                found.append(f"{relative(path)}:{number}: {match.group()}")
    assert found == []
