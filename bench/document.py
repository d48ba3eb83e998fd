"""docs/performance.md: what `make bench` writes, and regions between markers that other benchmarks write."""

import re
from pathlib import Path
from typing import Final

_REGION: Final = re.compile(r"<!-- begin (?P<name>[a-z-]+) -->\n.*?<!-- end (?P=name) -->\n", re.DOTALL)


def write_report(path: Path, text: str) -> None:
    """Replaces everything but the regions."""
    regions = [match[0] for match in _REGION.finditer(path.read_text())] if path.exists() else []
    path.write_text("\n".join([text, *regions]))


def write_region(path: Path, name: str, text: str) -> None:
    """Replaces the region of that name, or appends it."""
    region, old = f"<!-- begin {name} -->\n{text}<!-- end {name} -->\n", path.read_text()
    others = [match[0] for match in _REGION.finditer(old) if match["name"] == name]
    path.write_text(old.replace(others[0], region) if others else f"{old}\n{region}")
