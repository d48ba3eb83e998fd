"""One language: the words of the project's former private dialect do not come back."""

import ast
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

from tests.harness.places import ROOT

SUFFIXES = {".py", ".lua", ".sql", ".js", ".html", ".css", ".md", ".toml", ".json", ".yml", ".yaml"}

# The second promise, in its own words; and files and functions of the tests, which documents name.
ALLOWED = re.compile(r"nobody\s+is\s+signed\s+out\s+by\s+accident|`tests/[\w/.]+(?:::\w+)*`", re.IGNORECASE)

# In names (with underscores and capitals as boundaries) and in prose.
WORDS = r"""
judg(?:e|es|ed|ing|ement|ment)s? mend(?:s|ed|ing)? tell(?:s|ing)?|told tombstones? grave|buried pulse doors? rooms?
house floors? laws? residue wear|wears outbox whoever|whomever nobody|somebody companion\x20cookie stand[-_\x20]ins?
hang(?:s|ing)?[-_\x20]?up by\x20hand overtaken surroundings
"""

# References that went stale, and names of settings that are gone.
EXACT = [
    r"`okta\.md` [0-9]",
    r"\b[Ll]aw [0-9]+\b",
    r"\b[Dd]ecision 00[0-9]+\b",  # decision N, as docs/decisions numbers it
    r"BFF_PAR\W{1,4}always",
]

# No name of a variable or parameter: name what it holds.
VAGUE = {"one", "each", "found", "told", "kind", "longest", "flight"}
# `kind` is OpenTelemetry's word for a span, and a field of the simulator's faults and events.
VAGUE_ALLOWED = {("kind", "bff/telemetry/tracing.py"), ("kind", "bff/telemetry/otlp.py")}

# One expression finds most lines without any of them; only the others are asked word by word.
PATTERNS = [rf"(?i:(?<![A-Za-z.])(?:{word})(?![a-z]))" for word in WORDS.split()] + EXACT
ANY = re.compile("|".join(PATTERNS))


def documents() -> Iterator[Path]:
    names = subprocess.run(
        ["git", "ls-files", "-z", "bff", "demo", "docs", "README.md"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    for name in names.split("\0"):
        path = ROOT / name
        if name and path.suffix in SUFFIXES and path.is_file():
            yield path


FILES = sorted(documents())


def refused(text: str) -> Iterator[str]:
    for number, line in enumerate(ALLOWED.sub(lambda match: re.sub(r"[^\n]", " ", match[0]), text).splitlines(), 1):
        if ANY.search(line):
            for pattern in PATTERNS:
                yield from (f"{number}: {hit[0]!r}: see docs/glossary.md" for hit in re.finditer(pattern, line))


def test_no_word_of_the_former_dialect() -> None:
    hits = [f"{path.relative_to(ROOT)}:{hit}" for path in FILES for hit in refused(path.read_text("utf-8"))]
    assert hits == []


def vague_names(path: Path) -> Iterator[str]:
    name = path.relative_to(ROOT).as_posix()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        match node:
            case ast.Name(id=word, ctx=ast.Store()) | ast.arg(arg=word) | ast.ExceptHandler(name=str(word)):
                if (
                    word in VAGUE
                    and (word, name) not in VAGUE_ALLOWED
                    and not (word == "kind" and name.startswith("demo/"))
                ):
                    yield f"{name}:{getattr(node, 'lineno', 0)}: {word}: name what it holds"


def test_a_variable_is_named_after_what_it_holds() -> None:
    assert [hit for path in FILES if path.suffix == ".py" for hit in vague_names(path)] == []
