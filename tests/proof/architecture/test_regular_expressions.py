"""Every regular expression of the product is linear: no text, however long, makes one of them go back and forth."""

import ast
import contextlib
import importlib
import pkgutil
import re
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from re import _constants as sre
from re import _parser as parser
from types import FrameType
from typing import Any

import pytest

import bff

ROOT = Path(bff.__file__).parent
REPEATED = 50_000
PROCESSOR_TIME = 0.5  # seconds
ANYWHERE = {"search", "sub", "subn", "split", "finditer", "findall"}


class TooLong(Exception):
    pass


@contextlib.contextmanager
def limited() -> Iterator[None]:
    """The expression engine looks for signals while it works; the timer counts this process's work only."""

    def stop(_number: int, _frame: FrameType | None) -> None:
        raise TooLong

    before = signal.signal(signal.SIGVTALRM, stop)
    signal.setitimer(signal.ITIMER_VIRTUAL, PROCESSOR_TIME)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)


@dataclass(frozen=True)
class Expression:
    """`anywhere`: it is also looked for at every place of a text, not only at its beginning."""

    text: str | bytes
    flags: int
    anywhere: bool


def expressions() -> dict[str, Expression]:
    """By place: those that modules keep, and those that are written where they are used."""
    found: dict[str, Expression] = {}
    for info in pkgutil.walk_packages(bff.__path__, "bff."):
        if info.name == "bff.__main__":
            continue
        module = importlib.import_module(info.name)
        source = Path(str(module.__file__)).read_text("utf-8")
        for name, value in vars(module).items():
            if isinstance(value, re.Pattern):
                anywhere = any(f"{name}.{method}(" in source for method in ANYWHERE)
                found[f"{info.name}.{name}"] = Expression(value.pattern, value.flags, anywhere)
    for path in sorted(ROOT.rglob("*.py")):  # every worker collects them in one order
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.args):
                continue
            if isinstance(node.func.value, ast.Name) and node.func.value.id == "re" and node.func.attr != "compile":
                match node.args[0]:
                    case ast.Constant(str() | bytes() as text):
                        anywhere = node.func.attr in ANYWHERE
                        found[f"{path.relative_to(ROOT)}:{node.lineno}"] = Expression(text, 0, anywhere)
                    case _:
                        continue  # put together of expressions that are looked at by themselves
    return found


def sample(parsed: Any, other: bool = False) -> str:
    """A text that this part matches; `other` chooses the last alternative and the last of a set instead."""
    text = ""
    for kind, value in parsed:
        match kind:
            case sre.LITERAL:
                text += chr(value)
            case sre.NOT_LITERAL:
                text += chr(value + 1)
            case sre.ANY:
                text += "a"
            case sre.IN:
                text += _one_of(value, other)
            case sre.BRANCH:
                text += sample(value[1][-1 if other else 0], other)
            case sre.SUBPATTERN:
                text += sample(value[3], other)
            case sre.MAX_REPEAT | sre.MIN_REPEAT | sre.POSSESSIVE_REPEAT:
                text += sample(value[2], other) * max(value[0], 1)
            case _:
                continue
    return text


def _one_of(members: Any, other: bool) -> str:
    negated = members[0][0] is sre.NEGATE
    if negated:
        barred = {value for kind, value in members if kind is sre.LITERAL}
        return next(chr(code) for code in (range(0x7A, 0x20, -1) if other else range(0x61, 0x7B)) if code not in barred)
    kind, value = members[-1 if other else 0]
    if kind is sre.RANGE:
        return chr(value[1] if other else value[0])
    if kind is sre.CATEGORY:
        return " " if value is sre.CATEGORY_SPACE else "0"
    return chr(value)


def repetitions(parsed: Any, before: str = "") -> Iterator[tuple[str, str]]:
    """What comes before each repetition without an end, and what it repeats."""
    for kind, value in parsed:
        match kind:
            case sre.MAX_REPEAT | sre.MIN_REPEAT:
                if value[1] > 1000:
                    for other in (False, True):
                        yield before, sample(value[2], other)
                    yield before, sample(value[2]) + sample(value[2], True)
                yield from repetitions(value[2], before)
            case sre.SUBPATTERN:
                yield from repetitions(value[3], before)
            case sre.BRANCH:
                for branch in value[1]:
                    yield from repetitions(branch, before)
            case _:
                pass
        before += sample([(kind, value)])


def assert_linear(expression: Expression) -> None:
    compiled = re.compile(expression.text, expression.flags)
    text = expression.text.decode("latin-1") if isinstance(expression.text, bytes) else expression.text
    for before, repeated in repetitions(parser.parse(text, expression.flags & ~re.UNICODE)):
        for end in ("\x00", "!", ""):
            attack: Any = before + repeated * (REPEATED // max(1, len(repeated))) + end
            if isinstance(expression.text, bytes):
                attack = attack.encode("latin-1", "replace")
            with limited():
                compiled.match(attack)
                compiled.fullmatch(attack)
                if expression.anywhere:
                    compiled.search(attack)


@pytest.mark.case("DS-022")
def test_no_text_makes_an_expression_backtrack() -> None:
    all_of_ours = expressions()
    assert len(all_of_ours) > 30
    assert any(place.endswith("._PLAIN_PATH") for place in all_of_ours)
    slow = []
    for place, expression in all_of_ours.items():
        try:
            assert_linear(expression)
        except TooLong:
            slow.append(place)
    assert slow == []


@pytest.mark.parametrize(
    "bad", [r"(a+)+$", r"(a|aa)*b", r"\s*,\s*x\s*$", r"(x+x+)+y", rb'("[^"]*"|[^,])*,$', r".*a.*b.*c$"]
)
def test_an_expression_that_backtracks_is_recognised(bad: str | bytes) -> None:
    with pytest.raises(TooLong):
        assert_linear(Expression(bad, 0, anywhere=True))
