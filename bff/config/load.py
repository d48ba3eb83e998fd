"""Builds a model of settings from its sources, or reports all their problems at once.

pydantic applies a rule over several settings only if the whole model could be built, so one invalid value would hide
other problems. A failed validation is therefore repeated: each invalid value is replaced by its default, or by the
example of its declaration, and the rules that involve it are skipped (`section.Exempt`).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from bff.config.section import CONTRADICTION, Exempt, item_model, leaves, public_name, section_model
from bff.config.sources import MISSING, PREFIX, ConfigurationErrors, Gathered, gather, unknown
from bff.errors import ConfigurationError

Model = TypeVar("Model", bound=BaseModel)
Place = tuple[str | int, ...]

_DOCUMENTS: Final = {None: "`bff docs settings`", "okta": "`bff docs okta`"}


def load(
    model: type[Model],
    environ: Mapping[str, str],
    toml_path: Path | None = None,
    *,
    table: str | None = None,
    placeholders: Mapping[str, str] | None = None,
) -> Model:
    """Reads the root of bff.toml and BFF_*; with `table`, that table of bff.toml and BFF_<TABLE>_*.

    `placeholders` replace missing or unreadable values. Raises ConfigurationErrors, which lists every problem and
    contains no secret.
    """
    gathered = gather(environ, toml_path, leaves(model), table=table)
    gathered.fill_placeholders(placeholders or {})
    values = _nested(model, gathered.values)
    unreadable = gathered.names.keys() - gathered.values.keys()
    if not gathered.problems:
        try:
            return model.model_validate(values)
        except ValidationError:
            pass  # collected below, with the problems that this validation does not reach
    collection = _ProblemCollection(broken=set(unreadable), document=_DOCUMENTS[table])
    collection.collect(model, values)
    prefix = PREFIX if table is None else f"{PREFIX}{table.upper()}_"
    raise ConfigurationErrors(
        (*gathered.problems, *(problem.as_error(gathered, prefix) for problem in collection.problems))
    )


def _nested(model: type[BaseModel], values: Mapping[str, Any]) -> dict[str, Any]:
    """Groups the values by section. An empty section is included, so that its missing settings are reported by name."""
    nested: dict[str, Any] = {}
    for attribute, declared in model.model_fields.items():
        section, name = section_model(declared), public_name(attribute, declared)
        if section is not None:
            nested[attribute] = _nested(section, values)
        elif name in values:
            nested[name] = values[name]
    return nested


@dataclass(frozen=True, slots=True)
class _Problem:
    """One problem. `place` is the public name of a setting, followed by the path to an item or key inside it."""

    place: Place
    problem: str
    fix: str
    allowed: frozenset[str] | None = None  # the known keys, if the problem is an unknown key

    def as_error(self, gathered: Gathered, prefix: str) -> ConfigurationError:
        name, *inside = self.place
        head, blank, source = gathered.names.get(str(name), f"{prefix}{str(name).upper()}").partition(" ")
        inner = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in inside)
        label = head + inner + blank + source
        if self.allowed is not None:
            return unknown(label, str(self.place[-1]), self.allowed)
        return ConfigurationError(label, self.problem, self.fix)


@dataclass(slots=True)
class _ProblemCollection:
    """Collects the problems of a model. `broken` has the public names of the settings without a usable value."""

    broken: set[str]
    document: str
    problems: list[_Problem] = field(default_factory=list)

    def collect(self, model: type[Model], values: Mapping[str, Any], place: Place = ()) -> Model:
        """Records every problem and builds the model with substitutes for the invalid values."""
        values = dict(values)
        for attribute, declared in model.model_fields.items():
            if (section := section_model(declared)) is not None:
                values[attribute] = self.collect(section, values.get(attribute, {}), place)
            elif (item := item_model(declared)) is not None:
                name = public_name(attribute, declared)
                if isinstance(listed := values.get(name), list) and listed:
                    items = (self._collect_item(item, value, (*place, name, at)) for at, value in enumerate(listed))
                    values[name] = [built for built in items if built is not None]
        declared_by_name = {public_name(name, declared): declared for name, declared in model.model_fields.items()}
        for name in self.broken & declared_by_name.keys():
            _substitute(values, name, declared_by_name[name])
        rules: set[str] = set()
        while True:
            try:
                return model.model_validate(values, context=Exempt(model, frozenset(self.broken), frozenset(rules)))
            except ValidationError as error:
                for detail in error.errors(include_input=False, include_url=False):
                    if detail["type"] == CONTRADICTION:
                        self._record((*place, detail["ctx"]["name"]), detail)
                        rules.add(detail["ctx"]["rule"])
                        continue
                    name = str(detail["loc"][0])
                    declared_here = declared_by_name.get(name)
                    self._record((*place, *detail["loc"]), detail, declared_here, frozenset(declared_by_name))
                    self.broken.add(name)
                    _substitute(values, name, declared_here)

    def _collect_item(self, model: type[BaseModel], value: Any, place: Place) -> Any:
        """Builds an item of a list, which has its own set of broken names.

        Returns None for an item without a usable required value, which is left out of the list.
        """
        if not isinstance(value, dict):
            return value
        outer_broken, self.broken = self.broken, set()
        built = self.collect(model, value, place)
        broken, self.broken = self.broken, outer_broken
        return (
            None
            if any(model.model_fields[name].is_required() for name in broken & model.model_fields.keys())
            else built
        )

    def _record(
        self,
        place: Place,
        detail: ErrorDetails,
        declared: FieldInfo | None = None,
        known: frozenset[str] = frozenset(),
    ) -> None:
        context = detail.get("ctx", {})
        document = f"See {self.document}."
        match detail["type"]:
            case "setting" | "contradiction":
                self.problems.append(_Problem(place, context["problem"], context["fix"]))
            case "missing":
                fix = MISSING.get(str(place[0])) or f"Add it; {self.document} has an example."
                self.problems.append(_Problem(place, "is missing.", fix))
            case "extra_forbidden":
                self.problems.append(_Problem(place, "", "", known))
            case "tuple_type":
                self.problems.append(_Problem(place, "is not a list.", document))
            case "literal_error":
                self.problems.append(_Problem(place, f"should be {context['expected']}.", "Choose one of these."))
            case _:
                default = None if declared is None else declared.default
                fix = f"The default is {default}." if isinstance(default, int | float) else document
                self.problems.append(_Problem(place, f"{detail['msg'].replace('Input should', 'should')}.", fix))


def _substitute(values: dict[str, Any], name: str, declared: FieldInfo | None) -> None:
    """Replaces a value by the setting's default, or by the example of its declaration if there is no default."""
    values.pop(name, None)
    if declared is not None and declared.is_required():
        values[name] = (declared.examples or [])[0]
