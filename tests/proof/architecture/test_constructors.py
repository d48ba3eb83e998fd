"""Constructors take at most five arguments: what needs more has a group of collaborators without a name."""

import ast
from collections.abc import Iterator
from dataclasses import dataclass, field

from tests.harness.places import ROOT

PRODUCT = sorted((ROOT / "bff").rglob("*.py"))
AT_MOST = 5
# A row of the table of an Okta app's properties; its callable is a pure function of the actual value.
RECORDS = {"Property"}


@dataclass
class Constructor:
    name: str
    arguments: list[str]
    mentions: set[str] = field(default_factory=set)  # names in the annotations of the fields
    is_component: bool = False


def names_in(node: ast.AST) -> set[str]:
    return {inner.id for inner in ast.walk(node) if isinstance(inner, ast.Name)}


def constructors(source: str) -> Iterator[Constructor]:
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.ClassDef):
            continue
        bases = {name for base in node.bases for name in names_in(base)}
        own = next((part for part in node.body if isinstance(part, ast.FunctionDef) and part.name == "__init__"), None)
        if own is not None:
            given = own.args
            arguments = [argument.arg for argument in (*given.posonlyargs, *given.args, *given.kwonlyargs)][1:]
            yield Constructor(node.name, arguments, is_component=True)
        elif "Protocol" in bases:
            yield Constructor(node.name, [], is_component=True)
        elif any("dataclass" in names_in(decorator) for decorator in node.decorator_list) or "NamedTuple" in bases:
            fields = [part for part in node.body if isinstance(part, ast.AnnAssign) and not is_outside_init(part)]
            yield Constructor(
                node.name,
                [ast.unparse(part.target) for part in fields],
                {name for part in fields for name in names_in(part.annotation)},
                is_component=any(isinstance(part, ast.AsyncFunctionDef) for part in node.body),
            )


def is_outside_init(part: ast.AnnAssign) -> bool:
    """Whether a field is no argument: `ClassVar`, or `field(init=False)`."""
    outside = isinstance(part.value, ast.Call) and any(
        keyword.arg == "init" and ast.unparse(keyword.value) == "False" for keyword in part.value.keywords
    )
    return outside or "ClassVar" in names_in(part.annotation)


def components(found: list[Constructor]) -> list[Constructor]:
    """Those that are components by themselves, and those that hold one."""
    names = {"Callable"} | {constructor.name for constructor in found if constructor.is_component}
    while more := {part.name for part in found if part.name not in names and part.mentions & names}:
        names |= more
    return [constructor for constructor in found if constructor.name in names]


def too_many(found: list[Constructor]) -> list[str]:
    return [
        f"{constructor.name}({', '.join(constructor.arguments)})"
        for constructor in components(found)
        if len(constructor.arguments) > AT_MOST and constructor.name not in RECORDS
    ]


def test_no_constructor_takes_more_than_five_arguments() -> None:
    found = [constructor for path in PRODUCT for constructor in constructors(path.read_text("utf-8"))]
    assert len(found) > 200
    assert too_many(found) == []
