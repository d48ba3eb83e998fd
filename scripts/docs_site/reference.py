"""Pages of facts that are read from the code: every setting, error, metric and audit event, by name.

The pages of docs/ say what each of them means; these say what it accepts, and cannot be out of date.
"""

import importlib
import pkgutil
import types
from collections.abc import Callable, Iterator, Mapping
from typing import Annotated, Any, Final, Literal, Union, get_args, get_origin

from annotated_types import Ge, Gt, Le, Lt
from pydantic import SecretStr
from pydantic.fields import FieldInfo

import bff
from bff.config.reload import RELOADED
from bff.config.section import leaves
from bff.config.settings import SECRETS, Settings
from bff.errors import BffError
from bff.telemetry import audit, metrics
from bff.web.error_status import STATUS


def settings_page() -> str:
    rows = [
        (
            f"`BFF_{name.upper()}`",
            accepts(leaf.field),
            default(leaf.field),
            "yes" if name in SECRETS else "",
            _when(name),
        )
        for name, leaf in sorted(leaves(Settings).items())
    ]
    introduction = (
        "What each setting accepts, from the code of this version. [Settings](../settings.md) says what they mean. "
        "*From a file*: the setting can also be given as `BFF_<NAME>_FILE`."
    )
    heads = ("setting", "accepts", "default", "from a file", "a change takes effect")
    return _page("Settings by name", introduction, heads, rows)


def errors_page() -> str:
    classes = sorted(_errors(), key=lambda error: (STATUS.get(error.code, 999), error.code))
    rows = [(f"`{error.code}`", str(STATUS[error.code]), error.title) for error in classes if error.code in STATUS]
    introduction = (
        "Each `code` of a problem document (RFC 9457) with its status and title, from the code of this version. "
        "[Errors](../errors.md) says when each occurs and what to do."
    )
    return _page("Errors by status", introduction, ("code", "status", "title"), list(dict.fromkeys(rows)))


def metrics_page() -> str:
    rows = []
    for family in sorted(metrics.REGISTRY.collect(), key=lambda family: family.name):
        name = f"{family.name}_total" if family.type == "counter" else family.name
        labels = sorted({label for labels in _label_names(family.name) for label in labels})
        rows.append((f"`{name}`", family.type, ", ".join(f"`{label}`" for label in labels), family.documentation))
    introduction = (
        "What `GET /metrics` exposes, from the code of this version. "
        "[Metrics](../metrics.md) says which values the labels have."
    )
    return _page("Metrics by name", introduction, ("metric", "kind", "labels", "what it counts"), rows)


def audit_page() -> str:
    rows = [(f"`{event.value}`", "info" if event in audit.RARE else "warning") for event in sorted(audit.AuditEvent)]
    introduction = (
        "Each `event` of the audit trail, from the code of this version. [Audit trail](../audit.md) has their fields."
    )
    return _page("Audit events by name", introduction, ("event", "level"), rows)


PAGES: Final[Mapping[str, Callable[[], str]]] = {
    "settings.md": settings_page,
    "errors.md": errors_page,
    "metrics.md": metrics_page,
    "audit.md": audit_page,
}


def accepts(field: FieldInfo) -> str:
    """The kind of value that a setting has, and its limits."""
    return _kind(field.annotation, [*field.metadata])


def default(field: FieldInfo) -> str:
    """The default as an operator would write it."""
    if field.is_required():
        return "required"
    value = field.get_default(call_default_factory=True, validated_data={})
    if isinstance(value, tuple):
        return f"`{' '.join(map(str, value))}`" if value else "none"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    return "none" if value is None else f"`{value}`"


def _kind(annotation: Any, limits: list[Any]) -> str:
    origin = get_origin(annotation)
    if origin is Annotated:
        inner, *more = get_args(annotation)
        return _kind(inner, [*more, *limits])
    if origin is Literal:
        return ", ".join(f"`{choice}`" for choice in get_args(annotation))
    if origin in (Union, types.UnionType):
        kinds = dict.fromkeys(_kind(choice, limits) for choice in get_args(annotation) if choice is not type(None))
        return " or ".join(kinds)
    if origin is tuple:
        inner = get_args(annotation)[0]
        return f"a list: {_kind(inner, [])}" if get_origin(inner) in (Literal, Annotated) else "a list"
    names = {bool: "`true` or `false`", int: "a whole number", float: "a number", str: "text", SecretStr: "a secret"}
    return names.get(annotation, "text") + _limits(limits)


def _limits(limits: list[Any]) -> str:
    """`, 1 to 60` of what pydantic keeps of `Field(ge=1, le=60)`."""
    flat = [part for limit in limits for part in (limit.metadata if isinstance(limit, FieldInfo) else [limit])]
    low = next((f"from {part.ge}" for part in flat if isinstance(part, Ge)), None)
    low = low or next((f"more than {part.gt}" for part in flat if isinstance(part, Gt)), None)
    high = next((f"at most {part.le}" for part in reversed(flat) if isinstance(part, Le)), None)
    high = high or next((f"less than {part.lt}" for part in flat if isinstance(part, Lt)), None)
    return "".join(f", {part}" for part in (low, high) if part)


def _when(name: str) -> str:
    return "at once" if name in RELOADED else "after a restart"


def _errors() -> Iterator[type[BffError]]:
    for module in pkgutil.walk_packages(bff.__path__, "bff."):
        if module.name != "bff.__main__" and not module.name.startswith("bff.testing"):
            importlib.import_module(module.name)
    waiting: list[type[BffError]] = [BffError]
    while waiting:
        error = waiting.pop()
        waiting += error.__subclasses__()
        if error.__module__.startswith("bff."):
            yield error


def _label_names(family: str) -> Iterator[tuple[str, ...]]:
    for collector, names in metrics.REGISTRY._collector_to_names.items():
        if family in names:
            yield tuple(getattr(collector, "_labelnames", ()))


def _page(title: str, introduction: str, heads: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    lines = [heads, tuple("---" for _ in heads), *rows]
    table = "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)
    return f"# {title}\n\n{introduction}\n\n{table}\n"
