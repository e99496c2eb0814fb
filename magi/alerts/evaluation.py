"""The rules over the scrapes: `Evaluator(load_rules()).observe(scrapes, at)` says what is pending and what fires."""

from collections.abc import Iterable, Mapping

import structlog

from magi.alerts.alert import Alert, Scrape
from magi.alerts.rules import AlertRule, Group, RecordingRule, Rules
from magi.alerts.scraped import samples
from magi.alerts.series import Labels
from magi.alerts.states import RuleState
from magi.alerts.store import Store
from magi.alerts.vectors import CannotEvaluate, Vector, collect

log = structlog.get_logger(__name__)

_EARLY = 1.0
"""Seconds by which an observation may come too early for a group's interval: none is as punctual as its clock."""
_SEVERITIES = ("critical", "warning", "info")

Key = tuple[str, Labels]


class Evaluator:
    """Keeps the samples that the rules need, and the state of every alert, from one observation to the next."""

    def __init__(self, rules: Rules) -> None:
        self._rules = rules
        self._store = Store(selector for found in rules.expressions for selector in found.selectors)
        self._states = {
            id(rule): RuleState(rule) for group in rules.groups for rule in group.rules if isinstance(rule, AlertRule)
        }
        self._targets: dict[tuple[str, str, str], list[Key]] = {}
        self._recorded: dict[int, list[Key]] = {}
        self._evaluated: dict[str, float] = {}
        self._failing: dict[str, str] = {}
        self._last = float("-inf")

    @property
    def series(self) -> int:
        """How many series are kept."""
        return self._store.size

    @property
    def failing(self) -> Mapping[str, str]:
        """The rules that could not be evaluated at the last observation, and why. Their alerts stay as they were."""
        return self._failing

    def restore(self, alerts: Iterable[Alert], held_until: float) -> None:
        """Before the first observation: what was pending and fired before a restart (see `RuleState.restore`)."""
        found = list(alerts)
        for state in self._states.values():
            state.restore([alert for alert in found if alert.name == state.rule.alert], held_until)

    def observe(self, scrapes: Iterable[Scrape], at: float) -> list[Alert]:
        """Take what all targets answered at the Unix time `at`, later than before; what is pending or fires then.

        Sorted: firing before pending, critical before the rest, the oldest first. A target that is missing here and was
        there before is gone, as one that Prometheus doesn't find any more. Blocks for some milliseconds.
        """
        self.take(scrapes, at)
        return self.evaluate(at)

    def evaluate(self, at: float) -> list[Alert]:
        """As `observe`, over what was taken up to `at`."""
        if at <= self._last:
            raise ValueError("an evaluation that is not later than the one before")
        self._last = at
        for group in self._rules.groups:
            if at - self._evaluated.get(group.name, float("-inf")) >= group.interval - _EARLY:
                self._evaluated[group.name] = at
                self._evaluate(group, at)
        return self.alerts()

    def alerts(self) -> list[Alert]:
        """As of the last observation."""
        found = [alert for state in self._states.values() for alert in state.alerts()]
        return sorted(found, key=_order)

    def not_posted(self) -> set[tuple[str, tuple[tuple[str, str], ...]]]:
        """The keys of those alerts that somebody else has told already (`notices.TOLD_BY_ORCHESTRATORS`)."""
        found = set()
        for state in self._states.values():
            unless = state.rule.not_posted_while
            alerts = state.alerts() if unless else []
            if unless and alerts:
                told = [set(labels) for labels in unless.run(self._last)]
                found |= {alert.key for alert in alerts if any(known <= set(alert.labels.items()) for known in told)}
        return found

    def take(self, scrapes: Iterable[Scrape], at: float) -> None:
        """Take what all targets answered at `at`, and evaluate nothing."""
        seen = set()
        for scrape in scrapes:
            target = (scrape.job, scrape.part, scrape.address)
            found = samples(scrape, self._store.names)
            self._store.take(found, at, self._targets.get(target, ()))
            self._targets[target] = list(found)
            seen.add(target)
        for target in self._targets.keys() - seen:
            self._store.take({}, at, self._targets.pop(target))

    def _evaluate(self, group: Group, at: float) -> None:
        for rule in group.rules:
            name = f"{group.name}: {rule.record if isinstance(rule, RecordingRule) else rule.alert}"
            try:
                result = rule.expression.run(at)
                if isinstance(rule, RecordingRule):
                    self._record(rule, result, at)
                else:
                    self._states[id(rule)].update(result, at)
                self._failing.pop(name, None)
            except CannotEvaluate as error:
                if self._failing.get(name) != str(error):
                    log.warning("alert_rule_failed", rule=name, error=str(error))
                self._failing[name] = str(error)

    def _record(self, rule: RecordingRule, result: Vector, at: float) -> None:
        labelled = collect((tuple(sorted({**dict(found), **rule.labels}.items())), v) for found, v in result.items())
        recorded = {(rule.record, labels): value for labels, value in labelled.items()}
        self._store.take(recorded, at, self._recorded.get(id(rule), ()))
        self._recorded[id(rule)] = list(recorded)


def _order(alert: Alert) -> tuple[bool, int, float, str]:
    rank = _SEVERITIES.index(alert.severity) if alert.severity in _SEVERITIES else len(_SEVERITIES)
    return alert.state == "pending", rank, alert.since, alert.name
