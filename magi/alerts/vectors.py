"""Instant vectors, and what is done to them label by label: aggregation, matching of two, arithmetic."""

import math
from collections.abc import Callable, Iterable, Sequence

from magi.alerts.series import Labels

Vector = dict[Labels, float]
"""Values by their labels. The metric's name is none of them: no rule's result has one."""


class CannotEvaluate(Exception):
    """An expression has no result over these samples, as in Prometheus: two results have the same labels, say."""


def only(labels: Labels, names: frozenset[str]) -> Labels:
    return tuple(pair for pair in labels if pair[0] in names)


def without(labels: Labels, names: frozenset[str]) -> Labels:
    return tuple(pair for pair in labels if pair[0] not in names)


def collect(samples: Iterable[tuple[Labels, float]]) -> Vector:
    """A vector. Raises CannotEvaluate when two samples have the same labels."""
    found: Vector = {}
    for labels, value in samples:
        if labels in found:
            raise CannotEvaluate(f"two results with the same labels {shown(labels)}")
        found[labels] = value
    return found


def shown(labels: Labels) -> str:
    return "{" + ", ".join(f"{name}={value!r}" for name, value in labels) + "}"


def aggregated(vector: Vector, group: Callable[[Labels], Labels], reduce: Callable[[Sequence[float]], float]) -> Vector:
    groups: dict[Labels, list[float]] = {}
    for labels, value in vector.items():
        groups.setdefault(group(labels), []).append(value)
    return {labels: reduce(values) for labels, values in groups.items()}


def _largest(values: Sequence[float]) -> float:
    return max((value for value in values if value == value), default=math.nan)


def _least(values: Sequence[float]) -> float:
    return min((value for value in values if value == value), default=math.nan)


def _sum(values: Sequence[float]) -> float:
    try:
        return math.fsum(values)
    except (ValueError, OverflowError):  # infinities of both signs, or too much for a float
        return sum(values)


AGGREGATIONS: dict[str, Callable[[Sequence[float]], float]] = {
    "sum": _sum,
    "avg": lambda values: _sum(values) / len(values),
    "min": _least,
    "max": _largest,
    "count": len,
    "group": lambda values: 1.0,
}


def _divided(one: float, other: float) -> float:
    if other:
        return one / other
    return (
        math.nan if one != one or one == 0 or other != other else math.copysign(math.inf, one * math.copysign(1, other))
    )


def _modulo(one: float, other: float) -> float:
    return math.nan if other == 0 or math.isinf(one) else math.fmod(one, other)


def _power(one: float, other: float) -> float:
    try:
        return math.pow(one, other)
    except OverflowError:
        return math.inf if one > 0 or other % 2 == 0 else -math.inf
    except ValueError:
        return math.inf if one == 0 else math.nan


ARITHMETIC: dict[str, Callable[[float, float], float]] = {
    "+": lambda one, other: one + other,
    "-": lambda one, other: one - other,
    "*": lambda one, other: one * other,
    "/": _divided,
    "%": _modulo,
    "^": _power,
}
COMPARISONS: dict[str, Callable[[float, float], bool]] = {
    "==": lambda one, other: one == other,
    "!=": lambda one, other: one != other,
    ">": lambda one, other: one > other,
    "<": lambda one, other: one < other,
    ">=": lambda one, other: one >= other,
    "<=": lambda one, other: one <= other,
}

Operation = Callable[[float, float], float | None]
"""What an operator makes of two values; None: no sample."""
Signature = Callable[[Labels], Labels]
"""Those labels by which the samples of two vectors find each other."""


def operation(operator: str) -> Operation:
    """Of arithmetic; or of a comparison, which lets the left value through when it is true."""
    if operator in ARITHMETIC:
        return ARITHMETIC[operator]
    true = COMPARISONS[operator]
    return lambda one, other: one if true(one, other) else None


def answer(operator: str) -> Operation:
    """Of a comparison with `bool`: 1 or 0."""
    true = COMPARISONS[operator]
    return lambda one, other: float(true(one, other))


def matched_one_to_one(
    left: Vector, right: Vector, signature: Signature, operate: Operation, kept: Signature
) -> Vector:
    """`kept` says which labels the result has. Raises CannotEvaluate when several samples have one signature."""
    partners = _by_signature(right, signature, "right")
    found, seen = [], set()
    for labels, value in left.items():
        key = signature(labels)
        if key not in partners:
            continue
        result = operate(value, partners[key][1])
        if result is None:
            continue
        if key in seen:
            raise CannotEvaluate(f"several samples on the left match {shown(key)}: group_left is needed")
        seen.add(key)
        found.append((kept(labels), result))
    return collect(found)


def matched_many_to_one(
    many: Vector, one: Vector, signature: Signature, operate: Operation, included: frozenset[str]
) -> Vector:
    """`operate` gets the value of `many` first; the result has its labels, and those `included` of `one`."""
    partners = _by_signature(one, signature, "one's")
    found = []
    for labels, value in many.items():
        partner = partners.get(signature(labels))
        result = None if partner is None else operate(value, partner[1])
        if partner is not None and result is not None:
            found.append((tuple(sorted((*without(labels, included), *only(partner[0], included)))), result))
    return collect(found)


def _by_signature(vector: Vector, signature: Signature, side: str) -> dict[Labels, tuple[Labels, float]]:
    found: dict[Labels, tuple[Labels, float]] = {}
    for labels, value in vector.items():
        key = signature(labels)
        if key in found:
            raise CannotEvaluate(f"several samples on the {side} side match {shown(key)}")
        found[key] = labels, value
    return found


def both(left: Vector, right: Vector, signature: Signature) -> Vector:
    there = {signature(labels) for labels in right}
    return {labels: value for labels, value in left.items() if signature(labels) in there}


def either(left: Vector, right: Vector, signature: Signature) -> Vector:
    there = {signature(labels) for labels in left}
    return collect([*left.items(), *(sample for sample in right.items() if signature(sample[0]) not in there)])


def unless(left: Vector, right: Vector, signature: Signature) -> Vector:
    there = {signature(labels) for labels in right}
    return {labels: value for labels, value in left.items() if signature(labels) not in there}


SET_OPERATIONS: dict[str, Callable[[Vector, Vector, Signature], Vector]] = {"and": both, "or": either, "unless": unless}
