"""What the models of the settings have in common: flat public names, and rules over several settings.

The models are nested, the public names are flat: `settings.refresh.grace` is `BFF_REFRESH_GRACE` and `refresh_grace` in
bff.toml. A leaf declares its public name once, as its `validation_alias`, or has it as its attribute name.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Final, TypeAlias, TypeVar, get_args, get_origin

from pydantic import BaseModel, ConfigDict, SecretStr, ValidationInfo, model_validator
from pydantic.fields import FieldInfo
from pydantic_core import PydanticCustomError

# A rejected value is not repeated: it may be a secret.
FROZEN: Final = ConfigDict(
    frozen=True, extra="forbid", hide_input_in_errors=True, validate_default=True, validate_by_name=True
)
CONTRADICTION: Final = "contradiction"  # the error type of a rule over several settings

Model = TypeVar("Model", bound=BaseModel)
Rule: TypeAlias = Callable[[Any], None]


@dataclass(frozen=True, slots=True)
class Leaf:
    """One setting: its public name, the attributes that lead to it, and its declaration."""

    name: str
    path: tuple[str, ...]
    field: FieldInfo

    @property
    def is_secret(self) -> bool:
        """Whether the value is kept out of every repr; such a setting can also be read from a file."""
        return not self.field.repr or _mentions(self.field.annotation, SecretStr)

    @property
    def is_list(self) -> bool:
        """Whether the value is a list of words that may be empty: an empty variable means an empty list."""
        words = get_origin(self.field.annotation) is tuple and item_model(self.field) is None
        return words and not self.field.is_required()

    def value_in(self, settings: BaseModel) -> Any:
        value: Any = settings
        for attribute in self.path:
            value = getattr(value, attribute)
        return value


@dataclass(frozen=True, slots=True)
class Exempt:
    """The pydantic context of a second validation: names without a usable value, and rules already reported.

    `model` is the one being validated. pydantic applies the rules of its nested models once more; those were already
    reported.
    """

    model: type[BaseModel]
    names: frozenset[str]
    rules: frozenset[str]

    def covers(self, rule: Rule, names: Iterable[str]) -> bool:
        return rule.__qualname__ in self.rules or not self.names.isdisjoint(names)


def public_name(attribute: str, field: FieldInfo) -> str:
    return field.validation_alias if isinstance(field.validation_alias, str) else attribute


def section_model(field: FieldInfo) -> type[BaseModel] | None:
    """The model of a field that groups settings."""
    annotation = field.annotation
    return annotation if isinstance(annotation, type) and issubclass(annotation, BaseModel) else None


def item_model(field: FieldInfo) -> type[BaseModel] | None:
    """The model of the items of a field that is a list of tables."""
    items = get_args(field.annotation) if get_origin(field.annotation) is tuple else ()
    return next((item for item in items if isinstance(item, type) and issubclass(item, BaseModel)), None)


def is_table(field: FieldInfo) -> bool:
    """Whether a value may be a table: of a model of its own, and no section."""
    return section_model(field) is None and any(
        isinstance(part, type) and issubclass(part, BaseModel) for part in get_args(field.annotation)
    )


@cache
def leaves(model: type[BaseModel]) -> Mapping[str, Leaf]:
    """Every setting of a model by its public name, in the order of declaration.

    Raises TypeError where two have the same name.
    """
    by_name: dict[str, Leaf] = {}
    for attribute, field in model.model_fields.items():
        section = section_model(field)
        if section is None:
            inner = [Leaf(public_name(attribute, field), (attribute,), field)]
        else:
            inner = [Leaf(leaf.name, (attribute, *leaf.path), leaf.field) for leaf in leaves(section).values()]
        for leaf in inner:
            if leaf.name in by_name:
                raise TypeError(f"{model.__name__} has two settings named {leaf.name}")
            by_name[leaf.name] = leaf
    return by_name


def secrets(model: type[BaseModel]) -> frozenset[str]:
    """The public names of the settings that can also be read from a file."""
    return frozenset(name for name, leaf in leaves(model).items() if leaf.is_secret)


def over(*names: str) -> Callable[[Callable[[Model], None]], Any]:
    """Declares a rule over several settings, named by their public names; a violation is reported under the first.

    The rule raises `validators.invalid`. It runs once the whole model is built, so neither the order of the fields nor
    that of base classes matters. A rule over a setting that has no usable value is not applied.
    """

    def declare(rule: Callable[[Model], None]) -> Any:
        def validate(self: Model, info: ValidationInfo) -> Model:
            exempt = info.context if isinstance(info.context, Exempt) else None
            if exempt and (type(self) is not exempt.model or exempt.covers(rule, names)):
                return self
            try:
                rule(self)
            except PydanticCustomError as error:
                context = {**(error.context or {}), "name": names[0], "rule": rule.__qualname__}
                raise PydanticCustomError(CONTRADICTION, "{name} {problem} {fix}", context) from None
            return self

        return model_validator(mode="after")(validate)

    return declare


def _mentions(annotation: Any, wanted: type) -> bool:
    return annotation is wanted or any(_mentions(argument, wanted) for argument in get_args(annotation))
