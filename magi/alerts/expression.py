"""From PromQL to what computes it: `promql-parser` reads the text, and each node becomes a function of the time.

What is not supported is refused here, before anything is evaluated: subqueries, ``@``, regular expressions that Python
doesn't have, and the functions and aggregations that no table in `functions` and `vectors` names.
"""

import re
from collections.abc import Callable
from datetime import timedelta

import promql_parser as promql
from msgspec import Struct

from magi.alerts import functions, vectors
from magi.alerts.functions import Window
from magi.alerts.not_supported import NotSupported
from magi.alerts.series import LOOKBACK, Labels
from magi.alerts.store import Matcher, Selector
from magi.alerts.vectors import CannotEvaluate, Vector, collect, only, without

Scalar = Callable[[float], float]
Instant = Callable[[float], Vector]


class Expression(Struct, frozen=True):
    """One that can be evaluated, once its selectors are those of a store."""

    text: str
    run: Instant
    """The result at a Unix time; a scalar's has no labels. Raises CannotEvaluate."""
    selectors: tuple[Selector, ...]


def compiled(text: str) -> Expression:
    """Raises NotSupported."""
    try:
        node = promql.parse(text)
    except ValueError as error:
        raise NotSupported(f"not PromQL: {error}") from None
    compiler = _Compiler()
    return Expression(text, compiler.vector(node), tuple(compiler.selectors))


class _Compiler:
    def __init__(self) -> None:
        self.selectors: list[Selector] = []

    def vector(self, node: promql.Expr) -> Instant:
        """Of a scalar: a sample without labels."""
        match node:
            case promql.ParenExpr():
                return self.vector(node.expr)
            case promql.VectorSelector():
                return self._instant(node)
            case promql.AggregateExpr():
                return self._aggregate(node)
            case promql.Call() if node.func.name not in ("time", "scalar"):
                return self._call(node)
            case promql.BinaryExpr() if not self._is_scalar(node):
                return self._binary(node)
            case promql.UnaryExpr() if not self._is_scalar(node):
                inner = self.vector(node.expr)
                return lambda at: {labels: -value for labels, value in inner(at).items()}
        scalar = self.scalar(node)
        return lambda at: {(): scalar(at)}

    def scalar(self, node: promql.Expr) -> Scalar:
        match node:
            case promql.NumberLiteral():
                number = float(node.val)
                return lambda at: number
            case promql.ParenExpr():
                return self.scalar(node.expr)
            case promql.UnaryExpr():
                inner = self.scalar(node.expr)
                return lambda at: -inner(at)
            case promql.Call() if node.func.name == "time":
                return lambda at: at
            case promql.Call() if node.func.name == "scalar":
                of = self.vector(node.args[0])
                return lambda at: next(iter(found.values())) if len(found := of(at)) == 1 else float("nan")
            case promql.BinaryExpr():
                operate = self._operation(node)
                left, right = self.scalar(node.lhs), self.scalar(node.rhs)
                return lambda at: float("nan") if (x := operate(left(at), right(at))) is None else x
        raise NotSupported(f"{type(node).__name__} `{node.prettify()}` is not supported here")

    def _is_scalar(self, node: promql.Expr) -> bool:
        match node:
            case promql.NumberLiteral():
                return True
            case promql.ParenExpr() | promql.UnaryExpr():
                return self._is_scalar(node.expr)
            case promql.Call():
                return node.func.name in ("time", "scalar")
            case promql.BinaryExpr():
                return self._is_scalar(node.lhs) and self._is_scalar(node.rhs)
        return False

    # Selectors

    def _select(self, node: promql.VectorSelector, window: float) -> Selector:
        if node.at is not None:
            raise NotSupported(f"`{node.prettify()}`: @ is not supported")
        if not node.name or node.matchers.or_matchers:
            raise NotSupported(
                f"`{node.prettify()}`: a selector has to name its metric, and `or` is not supported in it"
            )
        offset = _seconds(node.offset)
        if offset < 0:
            raise NotSupported(f"`{node.prettify()}`: a negative offset looks into the future")
        selector = Selector(node.name, [_matcher(found) for found in node.matchers.matchers], window, offset)
        self.selectors.append(selector)
        return selector

    def _instant(self, node: promql.VectorSelector) -> Instant:
        selector = self._select(node, LOOKBACK)

        def run(at: float) -> Vector:
            found = ((series.labels, series.at(at - selector.offset)) for series in selector.series)
            return collect((labels, value) for labels, value in found if value is not None)

        return run

    # Functions

    def _call(self, node: promql.Call) -> Instant:
        name, arguments = node.func.name, list(node.args)
        if name in functions.OVER_WINDOWS:
            return self._over_window(name, arguments[0])
        if name in functions.OF_VALUES:
            change, inner = functions.OF_VALUES[name], self.vector(arguments[0])
            return lambda at: {labels: change(value) for labels, value in inner(at).items()}
        if name in functions.CLAMPS:
            clamp, clamped, bound = functions.CLAMPS[name], self.vector(arguments[0]), self.scalar(arguments[1])
            return lambda at: {labels: clamp(value, bound(at)) for labels, value in clamped(at).items()}
        if name == "histogram_quantile":
            quantile, buckets = self.scalar(arguments[0]), self.vector(arguments[1])
            return lambda at: functions.histogram_quantile(quantile(at), buckets(at))
        if name == "vector":
            scalar = self.scalar(arguments[0])
            return lambda at: {(): scalar(at)}
        if name == "absent":
            of, labels = self.vector(arguments[0]), _labels_when_absent(arguments[0])
            return lambda at: {} if of(at) else {labels: 1.0}
        raise NotSupported(f"the function {name} is not supported")

    def _over_window(self, name: str, node: promql.Expr) -> Instant:
        if not isinstance(node, promql.MatrixSelector):
            raise NotSupported(f"`{node.prettify()}`: only a metric with a range is supported in {name}")
        selector = self._select(node.vector_selector, _seconds(node.range))
        selector.may_be_thinned = name in functions.COUNTED
        compute = functions.OVER_WINDOWS[name]

        def run(at: float) -> Vector:
            end = at - selector.offset
            start = end - selector.window
            found: Vector = {}
            for series in selector.series:
                indices = series.between(start, end)
                if indices[0] == indices[1]:
                    continue
                value = compute(Window(series, start, end, indices))
                if value is not None:
                    found[series.labels] = value
            return found

        return run

    # Operators

    def _aggregate(self, node: promql.AggregateExpr) -> Instant:
        name = str(node.op)
        if name not in vectors.AGGREGATIONS:
            raise NotSupported(f"the aggregation {name} is not supported")
        reduce, inner = vectors.AGGREGATIONS[name], self.vector(node.expr)
        group: Callable[[Labels], Labels]
        if node.modifier is None:
            group = lambda labels: ()  # noqa: E731
        else:
            group = _projection(node.modifier.labels, included=node.modifier.type == promql.AggModifierType.By)
        return lambda at: vectors.aggregated(inner(at), group, reduce)

    def _operation(self, node: promql.BinaryExpr) -> vectors.Operation:
        name = str(node.op)
        if name not in vectors.ARITHMETIC and name not in vectors.COMPARISONS:
            raise NotSupported(f"the operator {name} is not supported")
        return vectors.answer(name) if node.modifier and node.modifier.return_bool else vectors.operation(name)

    def _binary(self, node: promql.BinaryExpr) -> Instant:
        if str(node.op) in vectors.SET_OPERATIONS:
            combine = vectors.SET_OPERATIONS[str(node.op)]
            left, right, signature = self.vector(node.lhs), self.vector(node.rhs), _signature(node)
            return lambda at: combine(left(at), right(at), signature)
        operate = self._operation(node)
        if self._is_scalar(node.rhs):
            samples, number = self.vector(node.lhs), self.scalar(node.rhs)
            return lambda at: _each(samples(at), number(at), operate)
        if self._is_scalar(node.lhs):
            number, samples = self.scalar(node.lhs), self.vector(node.rhs)
            turned = _turned(operate, str(node.op), node)
            return lambda at: _each(samples(at), number(at), turned)
        return self._matching(node, operate)

    def _matching(self, node: promql.BinaryExpr, operate: vectors.Operation) -> Instant:
        left, right, signature = self.vector(node.lhs), self.vector(node.rhs), _signature(node)
        modifier = node.modifier
        if modifier is None or modifier.card == promql.VectorMatchCardinality.OneToOne:
            if (
                modifier
                and modifier.fill_values
                and (modifier.fill_values.lhs, modifier.fill_values.rhs) != (None, None)
            ):
                raise NotSupported("fill is not supported")
            return lambda at: vectors.matched_one_to_one(left(at), right(at), signature, operate, signature)
        included = frozenset(modifier.group_labels or ())
        if modifier.card == promql.VectorMatchCardinality.ManyToOne:
            return lambda at: vectors.matched_many_to_one(left(at), right(at), signature, operate, included)
        return lambda at: vectors.matched_many_to_one(
            right(at), left(at), signature, lambda many, one: operate(one, many), included
        )


def _seconds(duration: timedelta | None) -> float:
    return duration.total_seconds() if duration is not None else 0.0


def _matcher(given: promql.Matcher) -> Matcher:
    by_pattern = given.op in (promql.MatchOp.Re, promql.MatchOp.NotRe)
    try:
        pattern = re.compile(given.value if by_pattern else re.escape(given.value), re.DOTALL)
    except re.error as error:
        raise NotSupported(f"{given.name}: the regular expression {given.value!r}: {error}") from None
    return Matcher(given.name, pattern, given.op in (promql.MatchOp.Equal, promql.MatchOp.Re))


def _projection(names: list[str], *, included: bool) -> Callable[[Labels], Labels]:
    chosen = frozenset(names)
    return (lambda labels: only(labels, chosen)) if included else (lambda labels: without(labels, chosen))


def _signature(node: promql.BinaryExpr) -> vectors.Signature:
    matching = node.modifier.matching if node.modifier else None
    if matching is None:
        return lambda labels: labels
    return _projection(matching.labels, included=matching.type == promql.LabelModifierType.Include)


def _each(vector: Vector, number: float, operate: vectors.Operation) -> Vector:
    found = ((labels, operate(value, number)) for labels, value in vector.items())
    return {labels: value for labels, value in found if value is not None}


def _turned(operate: vectors.Operation, operator: str, node: promql.BinaryExpr) -> vectors.Operation:
    """For a number on the left: of a comparison the sample's value is what goes through."""
    if operator in vectors.COMPARISONS and not (node.modifier and node.modifier.return_bool):
        return lambda value, number: None if operate(number, value) is None else value
    return lambda value, number: operate(number, value)


def _labels_when_absent(node: promql.Expr) -> Labels:
    """Those that a selector wants to be equal to something, as far as it says so once."""
    if not isinstance(node, promql.VectorSelector):
        return ()
    given = [found for found in node.matchers.matchers if found.name != "__name__"]
    named = [found.name for found in given]
    equal = (m for m in given if m.op == promql.MatchOp.Equal and named.count(m.name) == 1 and m.value)
    return tuple(sorted((found.name, found.value) for found in equal))


__all__ = ["CannotEvaluate", "Expression", "NotSupported", "compiled"]
