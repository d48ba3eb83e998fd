"""A component is given the settings that it needs, whole: no second record holds a copy of their values."""

import ast
from collections.abc import Iterator
from pathlib import Path

import bff
from bff.config.routes import Route
from bff.config.section import leaves, section_model
from bff.config.settings import Settings

ROOT = Path(bff.__file__).parent
SECTIONS = {
    "routes": frozenset(Route.model_fields),
    **{
        name: frozenset(section.model_fields)
        for name, field in Settings.model_fields.items()
        if (section := section_model(field)) is not None
    },
}
# A session remembers the provider and the client that it belongs to: the settings may have changed since. An intent
# holds what a link requested; some settings have the same names.
FACTS = frozenset({"Session", "SignInIntent"})
NAMES = frozenset(leaves(Settings)).union(*SECTIONS.values())


def trees() -> Iterator[tuple[str, ast.Module]]:
    for path in sorted(ROOT.rglob("*.py")):
        where = path.relative_to(ROOT)
        if where.parts[0] != "config":
            yield str(where), ast.parse(path.read_text("utf-8"))


def copies(tree: ast.Module) -> Iterator[str]:
    """Constructors that are given two or more keywords, each from an attribute of the same name."""
    for call in ast.walk(tree):
        name = ast.unparse(call.func).rpartition(".")[2] if isinstance(call, ast.Call) else ""
        if isinstance(call, ast.Call) and name[:1].isupper() and name not in FACTS:
            same = [
                keyword.arg
                for keyword in call.keywords
                if isinstance(keyword.value, ast.Attribute) and keyword.value.attr == keyword.arg in NAMES
            ]
            if len(same) >= 2:
                yield f"line {call.lineno}: {', '.join(map(str, same))}"


def records(tree: ast.Module) -> Iterator[str]:
    """Classes with three or more fields that one section of the settings has too."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef):
            fields = {
                item.target.id
                for item in node.body
                if isinstance(item, ast.AnnAssign) and isinstance(item.target, ast.Name)
            }
            for section, names in SECTIONS.items():
                if len(shared := fields & names) >= 3:
                    yield f"{node.name} has {', '.join(sorted(shared))} of {section}"


def test_no_call_copies_settings() -> None:
    assert [(where, copy) for where, tree in trees() for copy in copies(tree)] == []


def test_no_class_is_a_second_record_of_a_section() -> None:
    assert [(where, record) for where, tree in trees() for record in records(tree)] == []


def test_a_copy_and_a_second_record_are_recognised() -> None:
    call = "Cookies(public_url=settings.public_url, callback_path=settings.callback_path)"
    assert list(copies(ast.parse(call))) == ["line 1: public_url, callback_path"]
    fields = "\n".join(f"    {name}: float" for name in ("lease", "timeout", "grace"))
    assert list(records(ast.parse(f"class Timing:\n{fields}"))) == ["Timing has grace, lease, timeout of refresh"]
