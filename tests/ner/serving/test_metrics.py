"""The dashboard asks for what /metrics has."""

import json
import re
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from ner.serving import metrics as serve_metrics
from ner.serving.metrics import Metrics

DASHBOARD = json.loads((Path(serve_metrics.__file__).parent / "grafana.json").read_text(encoding="utf-8"))
QUERIES = [target["expr"] for panel in DASHBOARD["panels"] for target in panel["targets"]]
NAME = re.compile(r"\b((?:ner|process)_\w+)")
LABEL = re.compile(r"(\w+)(?:=~?|!=|!~)\"|by \(([\w, ]+)\)")


def exported() -> dict[str, set[str]]:
    """Return the names of the samples of a server that has answered, with their labels."""
    metrics = Metrics()
    metrics.requests.labels("/invocations", 200).inc()
    metrics.seconds.labels("/invocations").observe(0.02)
    metrics.waited.observe(0.01)
    metrics.rows.observe(4)
    metrics.serves("ner/3", "bf16")
    metrics.count([{"entities": [{"type": "PER"}]}], 9)
    families = text_string_to_metric_families(metrics.text().decode())
    return {sample.name: set(sample.labels) for family in families for sample in family.samples}


def test_the_rows_that_wait_are_those_of_all_queues():
    metrics = Metrics()
    for rows in (3, 4):
        metrics.watch(lambda rows=rows: rows)
    assert "ner_rows_waiting 7.0" in metrics.text().decode()


def test_every_query_of_the_dashboard_is_about_what_the_server_exports():
    samples = exported()
    for query in QUERIES:
        names = set(NAME.findall(query))
        assert names and names <= set(samples), query
        labels = {label for pair in LABEL.findall(query) for part in pair for label in part.split(", ") if label}
        assert labels <= set.union(*(samples[name] for name in names)), query


def test_every_number_of_the_server_is_on_the_dashboard():
    shown = {re.sub(r"_(bucket|sum|count)$", "", name) for query in QUERIES for name in NAME.findall(query)}
    ours = {name for name in exported() if name.startswith("ner_") and not name.endswith("_created")}
    assert {re.sub(r"_(bucket|sum|count)$", "", name) for name in ours} == shown - {"process_cpu_seconds_total"}


def test_panels_have_a_place_and_a_source_of_their_own():
    places = {(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in DASHBOARD["panels"]}
    assert len(places) == len(DASHBOARD["panels"]) == len({panel["id"] for panel in DASHBOARD["panels"]})
    assert {panel["datasource"]["uid"] for panel in DASHBOARD["panels"]} == {"prometheus"}
