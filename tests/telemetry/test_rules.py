"""`deploy/prometheus/magi-rules.yml`: every rule can be evaluated, and every alert has a page."""

import re
from pathlib import Path
from typing import Any

import promql_parser as promql
import pytest
import yaml

from tests.telemetry.queries import DECLARED, metrics_in, problems

ROOT = Path(__file__).parents[2]
RULES: list[dict[str, Any]] = [
    rule
    for group in yaml.safe_load((ROOT / "deploy" / "prometheus" / "magi-rules.yml").read_text())["groups"]
    for rule in group["rules"]
]
ALERTS = [rule for rule in RULES if "alert" in rule]
RECORDED = frozenset(rule["record"] for rule in RULES if "record" in rule)
PAGE = (ROOT / "docs" / "operations.md").read_text()
_TEMPLATED = re.compile(r"\$labels\.(\w+)")

each = pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: str(alert["alert"]))


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: str(rule.get("alert") or rule["record"]))
def test_it_uses_only_declared_metrics_and_their_labels(rule: dict[str, Any]) -> None:
    assert problems(rule["expr"], RECORDED) == []


@each
def test_a_page_says_what_the_alert_means_and_what_to_do(alert: dict[str, Any]) -> None:
    page, _, anchor = alert["annotations"]["runbook_url"].partition("#")
    assert page == "docs/operations.md"
    assert anchor == alert["alert"].lower()
    section = PAGE.split(f"### {alert['alert']}\n")[1].split("\n### ")[0]
    assert re.search(r"^\*.+\*$", section, re.MULTILINE | re.DOTALL)  # what it means
    assert "\n- " in section  # what to do


@each
def test_it_has_a_severity_and_a_summary_of_labels_that_its_result_has(alert: dict[str, Any]) -> None:
    assert alert["labels"]["severity"] in ("warning", "critical")
    summary = alert["annotations"]["summary"]
    kept = _kept(alert["expr"])
    assert kept is None or set(_TEMPLATED.findall(summary)) <= kept


def _kept(expression: str) -> set[str] | None:
    """The labels that the result has; None when it is not aggregated, and so has all."""
    labels = set(re.findall(r"\w+", " ".join(re.findall(r"\bby \(([^)]*)\)", expression))))
    return labels if re.search(r"\b(sum|max|min|absent) ?(by )?\(", expression) else None


def test_the_page_has_no_section_without_an_alert() -> None:
    assert set(re.findall(r"^### (\w+)$", PAGE, re.MULTILINE)) == {alert["alert"] for alert in ALERTS}


def test_thresholds_of_histograms_are_buckets() -> None:
    """A bucket that isn't there makes an empty result, and an alert that never fires."""
    found = [
        (name, float(bound))
        for rule in RULES
        for name, bound in re.findall(r'(\w+)_bucket\{le="([^"]+)"\}', rule["expr"])
    ]
    assert found
    for name, bound in found:
        assert bound in DECLARED[name].buckets


def test_what_an_operator_must_hear_of_is_watched() -> None:
    watched = {name for rule in RULES for name in metrics_in(rule["expr"])}
    assert watched >= {
        "magi_request_overhead_seconds",
        "magi_verdicts_total",
        "magi_stream_missing_messages",
        "magi_voter_outcomes_total",
        "magi_votes_total",
        "magi_projection_running",
        "magi_stream_used_ratio",
        "magi_inbox_partition_owned",
    }


@pytest.mark.parametrize(
    ("expression", "wrong"),
    [
        ("sum(rate(magi_vote_total[5m]))", "magi_vote_total is not declared"),
        ('rate(magi_votes_total{voters="x"}[5m])', "magi_votes_total has no label voters"),
        ("sum by (vote, le) (rate(magi_votes_total[5m]))", "magi_votes_total has no label le"),
        ("rate(magi_request_overhead_seconds[5m])", "magi_request_overhead_seconds is not declared"),
        ("rate(magi_open_requests[5m])", "rate of the gauge magi_open_requests"),
        ("sum(magi:fast:ratio) / 2", "magi:fast:ratio is not declared"),
    ],
)
def test_these_checks_notice_a_mistake(expression: str, wrong: str) -> None:
    assert problems(expression) == [wrong]
    with pytest.raises(ValueError):
        promql.parse(expression + ")")
