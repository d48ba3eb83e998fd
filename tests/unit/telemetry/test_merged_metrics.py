"""The metrics of several processes as one text."""

import json

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from bff.telemetry.merged_metrics import GAUGES, MergedMetrics, Snapshot, snapshot
from bff.telemetry.metrics import REGISTRY


def process(ended: int, *, available: int, lag: float, seconds: float) -> Snapshot:
    registry = CollectorRegistry()
    Counter("bff_session_ended", "x", ["reason"], registry=registry).labels(reason="signed_out").inc(ended)
    Gauge("bff_store_available", "x", registry=registry).set(available)
    Gauge("bff_event_loop_lag_seconds", "x", registry=registry).set(lag)
    Gauge("bff_open_streams", "x", registry=registry).set(2)
    Histogram("bff_refresh_seconds", "x", buckets=(1.0, 2.0), registry=registry).observe(seconds)
    return snapshot(registry)


def values(text: bytes) -> dict[str, float]:
    return {
        "".join([sample.name, *(f"{name}={value}" for name, value in sample.labels.items())]): sample.value
        for family in text_string_to_metric_families(text.decode())
        for sample in family.samples
        if not sample.name.endswith("_created")
    }


def test_counters_and_histograms_are_added_up_and_gauges_follow_their_rule() -> None:
    found = values(
        MergedMetrics().text(
            [process(3, available=1, lag=0.1, seconds=0.5), process(4, available=0, lag=0.3, seconds=1.5)]
        )
    )
    assert found == {
        "bff_session_ended_totalreason=signed_out": 7,
        "bff_store_available": 0,
        "bff_event_loop_lag_seconds": 0.3,
        "bff_open_streams": 4,
        "bff_refresh_seconds_bucketle=1.0": 1,
        "bff_refresh_seconds_bucketle=2.0": 2,
        "bff_refresh_seconds_bucketle=+Inf": 2,
        "bff_refresh_seconds_count": 2,
        "bff_refresh_seconds_sum": 2,
    }


def test_the_counts_of_a_process_that_ended_stay_and_its_gauges_go() -> None:
    merged = MergedMetrics()
    merged.process_ended(process(3, available=0, lag=0.9, seconds=0.5))
    merged.process_ended(process(2, available=0, lag=0.9, seconds=0.5))
    found = values(merged.text([process(1, available=1, lag=0.1, seconds=0.5)]))
    assert found["bff_session_ended_totalreason=signed_out"] == 6
    assert found["bff_refresh_seconds_count"] == 3
    assert (found["bff_store_available"], found["bff_event_loop_lag_seconds"], found["bff_open_streams"]) == (1, 0.1, 2)


def test_one_process_reads_as_it_does_by_itself() -> None:
    carried = json.loads(json.dumps(snapshot(REGISTRY)))
    assert MergedMetrics().text([carried]) == generate_latest(REGISTRY)


def test_every_rule_is_of_a_gauge_of_the_product() -> None:
    gauges = {family.name for family in REGISTRY.collect() if family.type == "gauge"}
    assert GAUGES.keys() <= gauges
