"""`magi.telemetry.dashboard` and `document`: what is made from the declarations is what is in the repository."""

import json
from pathlib import Path

import pytest

from magi.telemetry.dashboard import as_json, dashboard
from magi.telemetry.declarations import METRICS
from magi.telemetry.document import document
from tests.telemetry.queries import metrics_in, problems

ROOT = Path(__file__).parents[2]
PANELS = [panel for panel in dashboard()["panels"] if panel["type"] != "row"]
EXPRESSIONS = [target["expr"].replace("$__rate_interval", "5m") for panel in PANELS for target in panel["targets"]]


@pytest.mark.parametrize(
    ("file", "made", "module"),
    [("deploy/grafana/magi.json", as_json, "dashboard"), ("docs/metrics.md", document, "document")],
)
def test_the_file_is_up_to_date(file: str, made: object, module: str) -> None:
    assert callable(made)
    assert (ROOT / file).read_text() == made(), f"python -m magi.telemetry.{module} > {file}"


@pytest.mark.parametrize("expression", sorted(set(EXPRESSIONS)))
def test_a_panel_uses_only_declared_metrics_and_their_labels(expression: str) -> None:
    assert problems(expression) == []


def test_every_declared_metric_has_a_panel() -> None:
    assert {name for e in EXPRESSIONS for name in metrics_in(e)} == {metric.name for metric in METRICS}


def test_panels_have_ids_of_their_own_and_do_not_overlap() -> None:
    panels = json.loads(as_json())["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    covered: set[tuple[int, int]] = set()
    for panel in panels:
        at = panel["gridPos"]
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert at["x"] + at["w"] <= 24
        assert not covered & cells
        covered |= cells
