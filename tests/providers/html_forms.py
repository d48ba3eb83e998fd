"""The form of a provider's page, as a person would fill it in."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from html.parser import HTMLParser


@dataclass
class Form:
    action: str
    name: str = ""
    fields: dict[str, str] = field(default_factory=dict)

    def filled(self, values: Mapping[str, str]) -> dict[str, str]:
        """Its fields with `values` in those that it has."""
        return {name: values.get(name, value) for name, value in self.fields.items()}


class _Forms(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.forms: list[Form] = []
        self._inside: Form | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = {name: value or "" for name, value in attrs}
        if tag == "form":
            self._inside = Form(attributes.get("action", ""), attributes.get("id", ""))
            self.forms.append(self._inside)
        elif tag in ("input", "button") and (name := attributes.get("name")):
            form = self._form(attributes.get("form"))
            optional = attributes.get("type") in ("checkbox", "radio") and "checked" not in attributes
            # A person presses the first button: sign in, allow, sign out.
            if form is not None and not optional and name not in form.fields:
                form.fields[name] = attributes.get("value", "")

    def handle_endtag(self, tag: str) -> None:
        if tag == "form":
            self._inside = None

    def _form(self, owner: str | None) -> Form | None:
        if owner is None:
            return self._inside
        return next((form for form in self.forms if form.name == owner), None)


def first_form(page: str) -> Form | None:
    """The first form that a page shows."""
    parser = _Forms()
    parser.feed(page)
    return parser.forms[0] if parser.forms else None
