"""One language: the words of the project's former private dialect do not come back.

Left of each arrow is what is refused, right of it what to write instead; docs/glossary.md defines the terms. The words
are matched as whole words, in names as well as in prose.
"""

import ast
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.harness.places import ROOT

SUFFIXES = {".py", ".lua", ".sql", ".js", ".html", ".css", ".md", ".toml", ".json", ".yml", ".yaml"}

# The second promise, in its own words; and files and functions of the tests, which documents name.
ALLOWED = re.compile(r"nobody\s+is\s+signed\s+out\s+by\s+accident|`tests/[\w/.]+(?:::\w+)*`", re.IGNORECASE)

# In names (with underscores and capitals as boundaries) and in prose.
WORDS = {
    r"judg(?:e|es|ed|ing|ement|ment)s?": "validate, check, parse, classify",
    r"mend(?:s|ed|ing)?": "fix",
    r"tell(?:s|ing)?|told": "log, record, report, describe, return, show",
    r"tombstones?": "logout marker",
    r"grave|buried": "deleted copy",
    r"pulse": "write probe",
    r"doors?": "endpoint, port, listener",
    r"rooms?": "package",
    r"house": "project, BFF",
    r"floors?": "layer",
    r"laws?": "validator, invariant",
    r"residue": "known limitations",
    r"wear|wears": "set the style sheet",
    r"outbox": "write batch",
    r"whoever|whomever": "the client, the caller, any process that",
    r"nobody|somebody": "no client, no user, a user",
    r"companion cookie": "browser-id cookie",
    r"stand[-_ ]ins?": "placeholders",
    r"hang(?:s|ing)?[-_ ]?up": "disconnect, close the connection",
    r"by hand": "manually",
    r"overtaken": "superseded",
    r"surroundings": "network",
}

# Names and values that have another one now.
RENAMED = {
    r"NotOurs|(?<!rotation_)not_ours": "Superseded, superseded",
    r"StillUnknown": "Pending",
    r"Alternate|\.alternate\b": "ConcurrentSuccessor",
    r"restore_first_sent_at": "previous_first_sent_at",
    r"session_for\b": "session_with_fresh_token",
    r"\b_fly\b|\b_?flights\b": "refresh tasks",
    r"\bGiveUp\b|\bgive_up\b": "disconnect",
    r"\bWayOff\b|\bways?_off\b|\btake_off\b": "unregister",
    r"\bon_lasting\b|\b_?lasting\b": "on_long_lived",
    r"\bAnswerBrokeOff\b": "ResponseInterrupted or a like term",
    r"\bBare\b(?=\(|,|:| \|)": "NoParameters",
    r"\b_?Desk\b": "AdminContext",
    r"\bexamin(?:e|es|ed|ation)\b": "run_checks",
    r"\bFinding\b": "CheckResult",
    r"\bDoors\b": "a dispatcher",
    r"\bSettings_?laws\b|settings_laws": "config/validators",
    r"\.marked?\(": "put_marker, get_marker",
    r"\bidle_limit\b|\bIDLE_LIMIT\b": "idle_timeout",
    r"\babsolute_limit\b|\bABSOLUTE_LIMIT\b": "absolute_timeout",
    r"\brefresh_early\b|\bREFRESH_EARLY\b": "refresh_before_expiry",
    r"answer_within\b|ANSWER_WITHIN\b": "refresh_timeout, timeout",
    r"\brefresh_late\b|\bREFRESH_LATE\b|\brevoked_late\b": "refresh_after_grace, revoked_orphan",
    r"\bBFF_PROMPTS\b|\bBFF_IDPS\b": "BFF_ALLOWED_PROMPTS, BFF_ALLOWED_IDPS",
    r"BFF_PAR\W{1,4}always": "BFF_PAR=required",
    r"\bkeys_agree\b": "key_ring_in_sync",
    r"\ballowed_by_now\b|\bAllowedByNow\b": "retry_required",
    r"streams_cut\b|STREAMS_CUT\b": "streams_closed",
    r"\bsign_in_overtaken\b|\bsign_out_ordered\b|\bsign_out_order_refused\b": "the audit events' new names",
    r"\bEndReason\.(?:IDLE|ABSOLUTE)\b": "EndReason.IDLE_TIMEOUT, EndReason.ABSOLUTE_TIMEOUT",
    r"`okta\.md` [0-9]": "a statement of the fact, or a link that exists",
    r"\b[Ll]aw [0-9]+\b": "the invariant's name (docs/invariants.md)",
    r"\b[Dd]ecision 00[0-9]+\b": "decision N, as docs/decisions numbers it",
}

# No name of a variable or parameter: name what it holds.
VAGUE = {"one", "each", "found", "told", "kind", "longest", "flight"}
# `kind` is OpenTelemetry's word for a span, and a field of the simulator's faults and events.
VAGUE_ALLOWED = {("kind", "bff/telemetry/tracing.py"), ("kind", "bff/telemetry/otlp.py")}

BOUNDED = {re.compile(rf"(?<![A-Za-z.])(?:{word})(?![a-z])", re.IGNORECASE): new for word, new in WORDS.items()}
EXACT = {re.compile(pattern): new for pattern, new in RENAMED.items()}


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


def lines_with(text: str) -> Iterator[str]:
    for number, line in enumerate(ALLOWED.sub(lambda match: re.sub(r"[^\n]", " ", match[0]), text).splitlines(), 1):
        for pattern, new in (BOUNDED | EXACT).items():
            for hit in pattern.finditer(line):
                yield f"{number}: {hit[0]!r}: write {new}" if new else f"{number}: {hit[0]!r}"


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_word_of_the_former_dialect(path: Path) -> None:
    assert list(lines_with(path.read_text("utf-8"))) == []


def vague_names(path: Path) -> Iterator[str]:
    name = str(path.relative_to(ROOT))
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        match node:
            case ast.Name(id=word, ctx=ast.Store()) | ast.arg(arg=word) | ast.ExceptHandler(name=str(word)):
                if (
                    word in VAGUE
                    and (word, name) not in VAGUE_ALLOWED
                    and not (word == "kind" and name.startswith("demo/"))
                ):
                    yield f"{getattr(node, 'lineno', 0)}: {word}: name what it holds"


@pytest.mark.parametrize(
    "path", [path for path in FILES if path.suffix == ".py"], ids=lambda path: str(path.relative_to(ROOT))
)
def test_a_variable_is_named_after_what_it_holds(path: Path) -> None:
    assert list(vague_names(path)) == []


@pytest.mark.parametrize(
    ("text", "refused"),
    [
        ("def judge_csrf() -> None: ...", True),
        ("JUDGE = 1", True),
        ("# Mend the setting", True),
        ("_told(reading)", True),
        ("by_hand", False),
        ("the law is", True),
        ("a lawn, a pendulum, an outdoors mushroom", False),
        ("Nobody is signed out by accident.", False),
        ("nobody is signed in", True),
        ("`tests/unit/web/test_csrf.py::test_nobody_else_signs_out`", False),
        ("intelligent", False),
        ("BFF_PAR=always", True),
        ("single flight", False),
        ("class Outbox:", True),
    ],
)
def test_words_are_matched_whole(text: str, refused: bool) -> None:
    assert bool(list(lines_with(text))) is refused
