"""What holds for every test: a short cut past a search that finds nothing, and no stop-watch for generated examples."""

import sys

from hypothesis import HealthCheck, settings

# httpcore looks for it at every request, on every path, and it is not installed: a fifth of the time of a journey.
sys.modules.setdefault("sniffio", None)  # type: ignore[arg-type]

# By itself Hypothesis fails a test for an example that took 0.2 seconds: on a busy machine every one may.
settings.register_profile("no stop-watch", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("no stop-watch")
