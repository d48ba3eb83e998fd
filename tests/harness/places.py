"""Where things are in this repository, so that no test counts the folders above itself."""

from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[2]
TESTS: Final = ROOT / "tests"
CASES: Final = TESTS / "cases"  # the catalogue of attack cases
