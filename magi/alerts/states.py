"""Of one rule: which alerts are pending, fire, and end, from one evaluation to the next. As in Prometheus."""

from collections.abc import Iterable

from msgspec import Struct

from magi.alerts.alert import Alert, State
from magi.alerts.rules import AlertRule
from magi.alerts.series import Labels
from magi.alerts.vectors import CannotEvaluate, Vector, shown

UNNAMED = "none"
"""The severity of an alert whose rule gives it none."""


class _Active(Struct):
    since: float
    value: float
    sample: Labels
    firing_since: float | None = None
    missing_since: float | None = None
    """Since when its condition doesn't hold, and it fires on."""


class RuleState:
    """The alerts of one rule."""

    def __init__(self, rule: AlertRule) -> None:
        self.rule = rule
        self._active: dict[Labels, _Active] = {}
        self._held_until = float("-inf")

    def restore(self, alerts: Iterable[Alert], held_until: float) -> None:
        """Go on with what was pending and fired before a restart.

        What fired doesn't end before `held_until`: what is counted has to be seen twice before it says anything.
        """
        self._held_until = held_until
        for alert in alerts:
            labels = tuple(sorted({"severity": alert.severity, **alert.labels}.items()))
            if alert.severity == UNNAMED:
                labels = tuple(sorted(alert.labels.items()))
            self._active[labels] = _Active(alert.since, alert.value, labels, alert.firing_since)

    def update(self, result: Vector, at: float) -> None:
        """Take the result of the rule's expression at a time. Raises CannotEvaluate when two alerts look the same."""
        holding: dict[Labels, tuple[Labels, float]] = {}
        for sample, value in result.items():
            labels = self._labels(sample, value)
            if labels in holding:
                raise CannotEvaluate(f"two alerts with the same labels {shown(labels)}")
            holding[labels] = sample, value
        for labels, (sample, value) in holding.items():
            active = self._active.setdefault(labels, _Active(at, value, sample))
            active.value, active.sample, active.missing_since = value, sample, None
            if active.firing_since is None and at - active.since >= self.rule.for_seconds:
                active.firing_since = at
        for labels in self._active.keys() - holding.keys():
            active = self._active[labels]
            if active.missing_since is None:
                active.missing_since = at
            if active.firing_since is None or at >= max(
                active.missing_since + self.rule.keep_seconds, self._held_until
            ):
                del self._active[labels]

    def alerts(self) -> list[Alert]:
        return [self._alert(labels, active) for labels, active in self._active.items()]

    def _labels(self, sample: Labels, value: float) -> Labels:
        given = dict(sample)
        added = {name: template(value, given) for name, template in self.rule.labels.items()}
        return tuple(sorted((name, text) for name, text in {**given, **added}.items() if text))

    def _alert(self, labels: Labels, active: _Active) -> Alert:
        given = dict(active.sample)
        annotations = {name: template(active.value, given) for name, template in self.rule.annotations.items()}
        shown_labels = dict(labels)
        state: State = "pending" if active.firing_since is None else "firing"
        return Alert(
            name=self.rule.alert,
            state=state,
            severity=shown_labels.pop("severity", UNNAMED),
            since=active.since,
            firing_since=active.firing_since,
            value=active.value,
            labels=shown_labels,
            summary=annotations.get("summary", self.rule.alert),
            annotations=annotations,
        )
