"""The rules: Prometheus' own format, read from a file into what can be evaluated, or refused with a message."""

from collections.abc import Mapping
from pathlib import Path

import msgspec
from msgspec import Struct

from magi.alerts.expression import Expression, NotSupported, compiled
from magi.alerts.notices import TOLD_BY_ORCHESTRATORS
from magi.alerts.template import Template, template

FILE = Path(__file__).parent / "magi-rules.yml"
"""Those of MAGI itself."""


class RulesError(Exception):
    """Rules that can't be used. The message names the file and the rule."""


class _Rule(Struct, frozen=True, forbid_unknown_fields=True):
    expr: str | float
    record: str = ""
    alert: str = ""
    for_: str | int = msgspec.field(name="for", default=0)
    keep_firing_for: str | int = 0
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}


class _Group(Struct, frozen=True, forbid_unknown_fields=True):
    name: str
    rules: tuple[_Rule, ...] = ()
    interval: str | int = 0
    limit: int = 0
    labels: dict[str, str] = {}


class _File(Struct, frozen=True, forbid_unknown_fields=True):
    groups: tuple[_Group, ...]


class RecordingRule(Struct, frozen=True):
    record: str
    expression: Expression
    labels: Mapping[str, str]


class AlertRule(Struct, frozen=True):
    alert: str
    expression: Expression
    for_seconds: float
    keep_seconds: float
    """How long it fires on without its condition."""
    labels: Mapping[str, Template]
    annotations: Mapping[str, Template]
    not_posted_while: Expression | None
    """See `notices.TOLD_BY_ORCHESTRATORS`."""


class Group(Struct, frozen=True):
    """Rules that are evaluated one after the other, at one moment."""

    name: str
    interval: float
    """Seconds between two evaluations; 0: at every observation."""
    rules: tuple[RecordingRule | AlertRule, ...]


class Rules(Struct, frozen=True):
    groups: tuple[Group, ...]

    @property
    def expressions(self) -> list[Expression]:
        found: list[Expression] = []
        for group in self.groups:
            for rule in group.rules:
                found.append(rule.expression)
                if isinstance(rule, AlertRule) and rule.not_posted_while:
                    found.append(rule.not_posted_while)
        return found

    @property
    def recorded(self) -> frozenset[str]:
        """The metrics that they make themselves."""
        return frozenset(
            rule.record for group in self.groups for rule in group.rules if isinstance(rule, RecordingRule)
        )

    @property
    def alerts(self) -> list[str]:
        return [rule.alert for group in self.groups for rule in group.rules if isinstance(rule, AlertRule)]


def load_rules(file: Path = FILE) -> Rules:
    """Raises RulesError."""
    try:
        return read_rules(file.read_bytes(), str(file))
    except OSError as error:
        raise RulesError(f"{file}: {error.strerror}") from None


def read_rules(content: bytes, name: str) -> Rules:
    """`name` says in messages what `content` is. Raises RulesError."""
    import yaml  # here: 0.1 s, of no use to who only looks at alerts

    try:
        tree = yaml.safe_load(content)
        read = msgspec.convert(tree, _File)
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        raise RulesError(f"{name}: not YAML: {error}") from None
    except msgspec.ValidationError as error:
        raise RulesError(f"{name}: {error}") from None
    return Rules(tuple(_group(group, name) for group in read.groups))


def _group(group: _Group, file: str) -> Group:
    rules = []
    for number, rule in enumerate(group.rules, 1):
        named = rule.alert or rule.record or f"rule {number}"
        try:
            rules.append(_rule(rule, group))
        except NotSupported as error:
            raise RulesError(f"{file}: {group.name}: {named}: {error}") from None
    try:
        if group.limit:
            raise NotSupported("limit is not supported")
        return Group(group.name, seconds(group.interval), tuple(rules))
    except NotSupported as error:
        raise RulesError(f"{file}: {group.name}: {error}") from None


def _rule(rule: _Rule, group: _Group) -> RecordingRule | AlertRule:
    if bool(rule.record) == bool(rule.alert):
        raise NotSupported("a rule has either `alert` or `record`")
    labels = {**group.labels, **rule.labels}
    expression = compiled(str(rule.expr))
    if rule.record:
        if rule.annotations or rule.for_ or rule.keep_firing_for:
            raise NotSupported("only an alert has `for`, `keep_firing_for` and `annotations`")
        return RecordingRule(rule.record, expression, labels)
    unposted = TOLD_BY_ORCHESTRATORS.get(rule.alert)
    return AlertRule(
        rule.alert,
        expression,
        seconds(rule.for_),
        seconds(rule.keep_firing_for),
        {name: template(text) for name, text in labels.items()},
        {name: template(text) for name, text in rule.annotations.items()},
        compiled(unposted) if unposted else None,
    )


def seconds(text: str | int) -> float:
    """Of a duration as Prometheus writes it: ``1h30m``. Raises NotSupported."""
    import promql_parser as promql

    if text in (0, "0"):
        return 0.0
    try:
        return promql.parse_duration(str(text)).total_seconds()
    except ValueError as error:
        raise NotSupported(f"{text!r} is no duration: {error}") from None
