"""`magi.alerts.rules`: what can be evaluated is read, and what can't is refused by name."""

from pathlib import Path

import pytest

from magi.alerts.rules import RulesError, load_rules, read_rules, seconds


def group(text: str) -> bytes:
    return f"groups: [{{name: g, rules: [{text}]}}]".encode()


@pytest.mark.parametrize(
    ("rule", "why"),
    [
        ("{alert: A, expr: 'rate(x[5m'}", "g: A: not PromQL"),
        ("{alert: A, expr: 'predict_linear(x[5m], 3600)'}", "g: A: the function predict_linear is not supported"),
        ("{alert: A, expr: 'max_over_time(rate(x[5m])[1h:1m])'}", "only a metric with a range is supported"),
        ("{alert: A, expr: 'topk(3, x)'}", "the aggregation topk is not supported"),
        ("{alert: A, expr: 'x @ 12'}", "@ is not supported"),
        ("{alert: A, expr: 'x offset -5m'}", "looks into the future"),
        ("{alert: A, expr: '{job=\"x\"}'}", "has to name its metric"),
        ("{alert: A, expr: 'x{a=~\"(?P>b)\"}'}", "illegal regex"),
        ("{alert: A, expr: 'x atan2 y'}", "atan2 is not supported"),
        ("{alert: A, expr: x, for: soon}", "'soon' is no duration"),
        ("{alert: A, expr: x, annotations: {summary: '{{ range query }}'}}", "not supported: a value or label"),
        ("{alert: A, expr: x, annotations: {summary: '{{ $value '}}", "braces that don't close"),
        ("{alert: A, expr: x, severity: high}", "severity"),
        ("{alert: A, record: b, expr: x}", "either `alert` or `record`"),
        ("{record: b, expr: x, for: 5m}", "only an alert has"),
        ("{alert: A}", "expr"),
    ],
)
def test_what_cannot_be_evaluated_is_refused_by_name(rule: str, why: str) -> None:
    with pytest.raises(RulesError) as refused:
        read_rules(group(rule), "my.yml")
    assert str(refused.value).startswith("my.yml: ")
    assert why in str(refused.value)


@pytest.mark.parametrize("content", [b"", b"a: b", b"- 1", b"{", b"\xff", b"groups: 5", b"[" * 1000])
def test_what_is_no_rules_file_is_refused(content: bytes) -> None:
    with pytest.raises(RulesError):
        read_rules(content, "my.yml")


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(RulesError, match=r"none\.yml: No such file"):
        load_rules(tmp_path / "none.yml")


def test_durations_are_those_of_prometheus() -> None:
    assert [seconds(text) for text in ("0", 0, "30s", "1h30m", "1d")] == [0, 0, 30, 5400, 86_400]
