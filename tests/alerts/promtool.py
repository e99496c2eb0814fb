"""Runs files in the format of `promtool test rules` against our own evaluator: the same expectations hold for both.

Two things are ours: a series that has `_` at a time has it together with all others (a scrape that didn't happen, and
not a series that ended), and a target whose `up` is 0 has nothing else then.
"""

import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import promql_parser as promql
import yaml

from magi.alerts.alert import Scrape
from magi.alerts.evaluation import Evaluator
from magi.alerts.expression import Expression, compiled
from magi.alerts.rules import Group, RecordingRule, Rules, load_rules

Labels = dict[str, str]
_PART = re.compile(r"(-?[\d.]+|NaN|[+-]?Inf|_|stale)(?:([+-][\d.]+)?x(\d+))?")
_LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')


def values(notation: str) -> Iterator[float | str]:
    """Of promtool's notation: ``0+10x3 _ stale`` is 0 10 20 30, nothing, and the end of the series."""
    for part in notation.split():
        found = _PART.fullmatch(part)
        assert found, part
        first, step, times = found.groups()
        if first in ("_", "stale"):
            yield from [first] * int(times or 1)
            continue
        for number in range(int(times or 0) + 1):
            yield float(first) + float(step or 0) * number


def labels_of(series: str) -> tuple[str, Labels]:
    name, _, rest = series.partition("{")
    return name, dict(_LABEL.findall(rest))


def seconds(duration: str) -> float:
    return 0.0 if duration in (0, "0", "0s") else promql.parse_duration(str(duration)).total_seconds()


class Run:
    """One of a file's tests, evaluated to its end."""

    def __init__(self, test: dict[str, Any], rules: Rules, evaluation_interval: float) -> None:
        self.test = test
        expressions: dict[str, Expression] = {
            case["expr"]: compiled(case["expr"]) for case in test.get("promql_expr_test", ())
        }
        asked = Group("asked", 1e9, tuple(RecordingRule("asked", e, {}) for e in expressions.values()))
        self._evaluator = Evaluator(Rules((*rules.groups, asked)))
        self._expressions = expressions
        self._scrapes = list(self._scraped())
        # Of a day that is scraped every 5 minutes the evaluations between are left out: they take half a minute.
        self._every = max(evaluation_interval, seconds(test["interval"]))

    def differences(self) -> list[str]:
        """What is not as expected."""
        cases = [(seconds(case["eval_time"]), case) for kind in ("alert_rule_test", "promql_expr_test")
                 for case in self.test.get(kind, ())]  # fmt: skip
        found: list[str] = []
        taken = 0
        evaluated = 0.0
        for at, case in sorted(cases, key=lambda pair: pair[0]):
            while evaluated <= at:
                taken = self._take(taken, evaluated)
                self._evaluator.evaluate(evaluated)
                evaluated += self._every
            taken = self._take(taken, at)
            found += self._alerts(at, case) if "alertname" in case else self._samples(at, case)
        return found

    def _scraped(self) -> Iterator[tuple[float, list[Scrape]]]:
        rows = [(labels_of(given["series"]), list(values(given["values"]))) for given in self.test["input_series"]]
        every = seconds(self.test["interval"])
        for column in range(max(len(row) for _, row in rows)):
            texts: dict[tuple[str, str, str], str | None] = {}
            for (name, labels), row in rows:
                value = row[column] if column < len(row) else "_"
                target = labels.get("job", ""), labels.get("part", ""), labels.get("instance", "")
                if value == "_" or (value == "stale" and name == "up"):
                    continue
                text = texts.setdefault(target, "")
                own = ",".join(f'{k}="{v}"' for k, v in labels.items() if k not in ("job", "part", "instance"))
                if name == "up":
                    texts[target] = text if value else None
                elif value != "stale" and text is not None:
                    texts[target] = text + f"{name}{{{own}}} {value}\n"
            if texts:
                scrapes = [Scrape(part, instance, text, job) for (job, part, instance), text in texts.items()]
                yield column * every, scrapes

    def _take(self, taken: int, until: float) -> int:
        while taken < len(self._scrapes) and self._scrapes[taken][0] <= until:
            at, scrapes = self._scrapes[taken]
            self._evaluator.take(scrapes, at)
            taken += 1
        return taken

    def firing(self, alertname: str) -> list[dict[str, Labels]]:
        """As promtool writes it."""
        found = [a for a in self._evaluator.alerts() if a.name == alertname and a.state == "firing"]
        return [
            {
                "exp_labels": {**({} if a.severity == "none" else {"severity": a.severity}), **a.labels},
                "exp_annotations": dict(a.annotations),
            }
            for a in found
        ]

    def samples(self, expression: str, at: float) -> list[dict[str, Any]]:
        """As promtool writes it."""
        result = self._expressions[expression].run(at)
        return [
            {"labels": "{" + ", ".join(f'{k}="{v}"' for k, v in labels) + "}", "value": value}
            for labels, value in result.items()
        ]

    def _alerts(self, at: float, case: dict[str, Any]) -> list[str]:
        expected = [
            {"exp_labels": alert.get("exp_labels", {}), "exp_annotations": alert.get("exp_annotations", {})}
            for alert in case.get("exp_alerts") or ()
        ]
        got = self.firing(case["alertname"])
        return [] if _sorted(got) == _sorted(expected) else [f"{at:.0f} s: {case['alertname']}: {got}, not {expected}"]

    def _samples(self, at: float, case: dict[str, Any]) -> list[str]:
        expected = {_nameless(labels_of(s["labels"])[1]): s["value"] for s in case.get("exp_samples") or ()}
        got = self._expressions[case["expr"]].run(at)
        same = expected.keys() == got.keys() and all(_close(float(expected[key]), got[key]) for key in got)
        return [] if same else [f"{at:.0f} s: {case['expr']}: {got}, not {expected}"]


def _nameless(labels: Labels) -> tuple[tuple[str, str], ...]:
    """No vector of ours has the name of a metric: no rule's result has it either."""
    return tuple(sorted((name, value) for name, value in labels.items() if name != "__name__"))


def _sorted(alerts: list[dict[str, Labels]]) -> list[str]:
    return sorted(str([sorted(part.items()) for part in alert.values()]) for alert in alerts)


def _close(one: float, other: float) -> bool:
    return (one != one and other != other) or math.isclose(one, other, rel_tol=1e-9)


def runs(file: Path) -> Iterator[Run]:
    content = yaml.safe_load(file.read_text())
    (rules,) = content["rule_files"]
    for test in content["tests"]:
        yield Run(test, load_rules(file.parent / rules), seconds(content["evaluation_interval"]))
