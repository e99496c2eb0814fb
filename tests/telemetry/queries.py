"""What a PromQL expression refers to: its metrics, and the labels that it expects of them."""

from typing import Any

import promql_parser as promql

from magi.telemetry.declarations import METRICS
from magi.telemetry.metric import TARGET_LABELS

DECLARED = {metric.name: metric for metric in METRICS}
_HISTOGRAM = ("_bucket", "_count", "_sum")


def problems(expression: str, recorded: frozenset[str] = frozenset()) -> list[str]:
    """What is wrong with an expression; `recorded` are the series that recording rules make."""
    found: list[str] = []
    _walk(promql.parse(expression), recorded, found)
    return found


def metrics_in(expression: str) -> set[str]:
    """The declared metrics that it uses."""
    used: set[str] = set()
    for selector in _selectors(promql.parse(expression)):
        name = _declared(selector.name)
        if name:
            used.add(name)
    return used


def _declared(series: str) -> str | None:
    for suffix in ("", *_HISTOGRAM):
        name = series.removesuffix(suffix) if suffix else series
        if name in DECLARED and (DECLARED[name].kind == "histogram") == bool(suffix) and series.endswith(suffix):
            return name
    return None


def _labels_of(series: str) -> set[str]:
    name = _declared(series)
    assert name
    return {*DECLARED[name].labels, *TARGET_LABELS, *(("le",) if series.endswith("_bucket") else ())}


def _children(node: Any) -> list[Any]:
    match node:
        case promql.AggregateExpr() | promql.ParenExpr() | promql.UnaryExpr() | promql.SubqueryExpr():
            return [node.expr]
        case promql.BinaryExpr():
            return [node.lhs, node.rhs]
        case promql.Call():
            return list(node.args)
        case promql.MatrixSelector():
            return [node.vector_selector]
    return []


def _selectors(node: Any) -> list[Any]:
    if isinstance(node, promql.VectorSelector):
        return [node]
    return [selector for child in _children(node) for selector in _selectors(child)]


def _walk(node: Any, recorded: frozenset[str], found: list[str]) -> None:
    if isinstance(node, promql.VectorSelector):
        name = node.name or ""
        if name == "up" or name in recorded:
            return
        if _declared(name) is None:
            found.append(f"{name} is not declared")
            return
        found += [f"{name} has no label {m.name}" for m in node.matchers.matchers if m.name not in _labels_of(name)]
        return
    if isinstance(node, promql.AggregateExpr) and node.modifier:
        for selector in _selectors(node.expr):
            if _declared(selector.name):
                missing = set(node.modifier.labels) - _labels_of(selector.name)
                found += [f"{selector.name} has no label {label}" for label in sorted(missing)]
    if isinstance(node, promql.Call) and node.func.name in ("rate", "increase"):
        for selector in _selectors(node):
            counted = _declared(selector.name)
            if counted and DECLARED[counted].kind == "gauge":
                found.append(f"{node.func.name} of the gauge {counted}")
    for child in _children(node):
        _walk(child, recorded, found)
