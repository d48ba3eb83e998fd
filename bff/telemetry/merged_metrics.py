"""The metrics of several processes as those of one: what the management port of several workers exposes.

Counters and histograms are added up, gauges by the rule that fits each. What a process counted before it ended stays in
the sums, because a counter that becomes smaller counts as restarted from zero.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final, TypeAlias

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

# [[name, type, documentation, [[sample, labels, value], ...]], ...], as JSON can carry it.
Snapshot: TypeAlias = list[Any]

GAUGES: Final[Mapping[str, Callable[[float, float], float]]] = {
    "bff_info": max,
    "bff_store_available": min,  # 0 as long as one process cannot reach the store
    "bff_event_loop_lag_seconds": max,
    "bff_revocations_waiting": max,  # of one queue, as each process saw it last
}  # every other gauge is a number of things, which are added up
_ADDED: Final = frozenset({"counter", "histogram"})

_Samples: TypeAlias = dict[tuple[str, tuple[tuple[str, str], ...]], float]


def snapshot(registry: CollectorRegistry) -> Snapshot:
    """The current values of one process."""
    return [
        [
            family.name,
            family.type,
            family.documentation,
            [[sample.name, sample.labels, sample.value] for sample in family.samples],
        ]
        for family in registry.collect()
    ]


class MergedMetrics:
    """The sums of the processes that have ended."""

    def __init__(self) -> None:
        self._past: dict[str, _Samples] = {}

    def process_ended(self, last: Snapshot) -> None:
        """Keeps what a process counted until its last snapshot. Its gauges end with it."""
        for name, metric_type, _, samples in last:
            if metric_type in _ADDED:
                _merge(name, self._past.setdefault(name, {}), samples)

    def text(self, snapshots: Iterable[Snapshot]) -> bytes:
        """The values of these processes together, in the text format of Prometheus."""
        registry = CollectorRegistry()
        registry.register(_Families(self._families(snapshots)))
        return generate_latest(registry)

    def _families(self, snapshots: Iterable[Snapshot]) -> list[Metric]:
        merged: dict[str, tuple[str, str, _Samples]] = {}
        for families in snapshots:
            for name, metric_type, documentation, samples in families:
                if name not in merged:
                    merged[name] = metric_type, documentation, dict(self._past.get(name, {}))
                _merge(name, merged[name][2], samples)
        families = []
        for name, (metric_type, documentation, values) in merged.items():
            family = Metric(name, documentation, metric_type)
            for (sample, labels), value in values.items():
                family.add_sample(sample, dict(labels), value)
            families.append(family)
        return families


class _Families(Collector):
    def __init__(self, families: list[Metric]) -> None:
        self._families = families

    def collect(self) -> Iterator[Metric]:
        yield from self._families


def _merge(family: str, into: _Samples, samples: Iterable[Any]) -> None:
    for name, labels, value in samples:
        key = name, tuple(sorted(labels.items()))
        if key not in into:
            into[key] = value
        elif name.endswith("_created"):
            into[key] = min(into[key], value)
        else:
            into[key] = GAUGES[family](into[key], value) if family in GAUGES else into[key] + value
