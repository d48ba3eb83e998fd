"""Validates manifests, a JSON list on stdin, against schemas that ship in packages. Prints one line for each problem.

It runs with the packages of requirements.txt. The arguments are folders with CustomResourceDefinitions, which are
applied without their CEL rules. Unknown fields are problems.
"""

import json
import sys
from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate
import yaml

KUBERNETES = "1.37"


class Loader(yaml.CSafeLoader):
    """Reads `=` as the text that it is in these files; YAML 1.1 has another meaning for it."""


Loader.add_constructor("tag:yaml.org,2002:value", lambda loader, node: node.value)


def strict(schema: Any) -> Any:
    """The OpenAPI schema of a CustomResourceDefinition as a JSON schema that refuses unknown fields."""
    if isinstance(schema, list):
        return [strict(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    converted = {name: strict(value) for name, value in schema.items() if name not in ("description", "format")}
    if schema.get("x-kubernetes-int-or-string"):
        converted.pop("type", None)
    if isinstance(schema.get("properties"), dict):
        converted["properties"] = {name: strict(value) for name, value in schema["properties"].items()}
        if not schema.get("x-kubernetes-preserve-unknown-fields"):
            converted.setdefault("additionalProperties", False)
    return converted


def definitions(folders: list[Path]) -> dict[tuple[str, str], Any]:
    """The schemas of the folders by apiVersion and kind."""
    found: dict[tuple[str, str], Any] = {}
    for path in (path for folder in folders for path in sorted(folder.glob("*.yaml"))):
        for document in yaml.load_all(path.read_text("utf-8"), Loader):
            if document and document.get("kind") == "CustomResourceDefinition":
                spec = document["spec"]
                for version in spec["versions"]:
                    key = f"{spec['group']}/{version['name']}", spec["names"]["kind"]
                    found[key] = version["schema"]["openAPIV3Schema"]
    return found


def problems(manifest: dict[str, Any], custom: dict[tuple[str, str], Any]) -> list[str]:
    schema = custom.get((manifest["apiVersion"], manifest["kind"]))
    if schema is None:
        try:
            kubernetes_validate.validate(manifest, KUBERNETES, strict=True)
        except (kubernetes_validate.ValidationError, kubernetes_validate.SchemaNotFoundError) as error:
            return [str(error).replace("\n", " ")]
        return []
    validator = jsonschema.Draft202012Validator(strict(schema))
    return [f"{error.json_path}: {error.message}" for error in validator.iter_errors(manifest)]


def main() -> None:
    custom = definitions([Path(folder) for folder in sys.argv[1:]])
    for manifest in json.load(sys.stdin):
        for problem in problems(manifest, custom):
            print(f"{manifest['kind']} {manifest['metadata']['name']}: {problem[:500]}")


if __name__ == "__main__":
    main()
