"""What holds for every test: nothing but a short cut past a search that finds nothing."""

import sys

# httpcore looks for it at every request, on every path, and it is not installed: a fifth of the time of a journey.
sys.modules.setdefault("sniffio", None)  # type: ignore[arg-type]
