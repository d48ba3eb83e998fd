"""The alert rules and the dashboard name only what is counted, and every alert says what to do."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import yaml

from bff.telemetry.metrics import REGISTRY
from tests.harness.places import ROOT

ALERTS: list[dict[str, Any]] = yaml.safe_load((ROOT / "deploy/prometheus/alerts.yml").read_text())["groups"][0]["rules"]
DASHBOARD = json.loads((ROOT / "deploy/grafana/bff.json").read_text())
RUNBOOKS = (ROOT / "docs/runbooks.md").read_text("utf-8")

# Labels that Prometheus adds to whatever it scrapes.
OF_THE_SCRAPE = {"job", "instance"}
SELECTOR = re.compile(r"\b(bff_[a-z_]+|up)(\{[^}]*\})?")
MATCHER = re.compile(r'\s*([a-z_]+)\s*(=~|!~|!=|=)\s*"([^"]*)"\s*')
GROUPING = re.compile(r"\b(?:by|without)\s*\(([^)]*)\)")


@dataclass(frozen=True)
class Selected:
    """One series selector of a query: the metric, and its matchers as label, operator and value."""

    metric: str
    matchers: tuple[tuple[str, str, str], ...]


def selected(query: str) -> Iterator[Selected]:
    for metric, braces in SELECTOR.findall(GROUPING.sub("", query)):
        matchers = []
        for part in filter(None, braces.strip("{}").split(",")):
            match = MATCHER.fullmatch(part)
            assert match is not None, f"not a matcher: {part}"
            matchers.append((match[1], match[2], match[3]))
        yield Selected(metric, tuple(matchers))


def exposed() -> dict[str, set[str]]:
    """The labels of each series that a query can name."""
    found: dict[str, set[str]] = {"up": set()}
    for collector in REGISTRY._collector_to_names:
        (family,) = collector.collect()
        labels = set(getattr(collector, "_labelnames", ()))
        match family.type:
            case "counter":
                found[f"{family.name}_total"] = labels
            case "histogram":
                found |= {f"{family.name}_bucket": labels | {"le"}}
                found |= {f"{family.name}_{part}": labels for part in ("sum", "count")}
            case _:
                found[family.name] = labels
    return found


def dashboard_queries() -> list[str]:
    queries = [target["expr"] for panel in DASHBOARD["panels"] for target in panel.get("targets", ())]
    variables = [
        variable["query"]["query"] for variable in DASHBOARD["templating"]["list"] if variable["type"] == "query"
    ]
    return queries + variables


QUERIES = [alert["expr"] for alert in ALERTS] + dashboard_queries()


def test_every_metric_and_label_of_a_query_exists() -> None:
    known = {metric: labels | OF_THE_SCRAPE for metric, labels in exposed().items()}
    for query in QUERIES:
        series = list(selected(query))
        assert series, query
        for selector in series:
            assert selector.metric in known, query
            assert {label for label, _, _ in selector.matchers} <= known[selector.metric], query
        labels = set().union(*(known[selector.metric] for selector in series))
        for grouping in GROUPING.findall(query):
            assert {label.strip() for label in grouping.split(",")} <= labels, query


def test_every_query_has_its_brackets_and_asks_counters_for_their_rate() -> None:
    for query in QUERIES:
        for opening, closing in ("()", "{}", "[]"):
            assert query.count(opening) == query.count(closing), query
        for counter in re.findall(r"bff_[a-z_]+_total", query):
            rate = rf"(?:rate|increase)\({counter}(?:\{{[^}}]*\}})?\[(?:\d+[mh]|\$__rate_interval)\]\)"
            assert re.search(rate, query), query


def test_every_series_of_an_alert_begins_at_zero() -> None:
    """Prometheus sees no increase in a series that begins at one. Routes are the operator's own: they are busy."""
    samples = [sample for family in REGISTRY.collect() for sample in family.samples]
    for selector in (selector for alert in ALERTS for selector in selected(alert["expr"])):
        for label, operator, value in selector.matchers:
            if label in OF_THE_SCRAPE or label == "status_class":
                continue
            values = value.split("|") if operator == "=~" else [value]
            there = {sample.labels.get(label) for sample in samples if sample.name == selector.metric}
            assert set(values) <= there, selector


def test_every_alert_has_a_severity_and_a_runbook() -> None:
    sections = {title.lower(): text for title, text in re.findall(r"(?ms)^## (\w+)\n(.*?)(?=^## |\Z)", RUNBOOKS)}
    for alert in ALERTS:
        assert alert["labels"]["severity"] in ("page", "ticket"), alert
        assert alert["annotations"]["summary"].endswith("."), alert
        document, _, anchor = alert["annotations"]["runbook"].partition("#")
        assert document == "docs/runbooks.md"
        assert "\n1. " in sections[anchor], alert
        assert alert["annotations"]["summary"] in sections[anchor], alert


def test_no_runbook_is_for_an_alert_that_is_gone() -> None:
    assert re.findall(r"(?m)^## (\w+)$", RUNBOOKS) == [alert["alert"] for alert in ALERTS]


def test_the_dashboard_shows_every_metric() -> None:
    shown = {series.metric for query in dashboard_queries() for series in selected(query)}
    counted = {name.removesuffix("_bucket") for name in exposed() if not name.endswith(("_sum", "_count"))}
    assert {name.removesuffix("_bucket") for name in shown} == counted
