"""Exceptions by their names: what was not imported was not raised either, and needn't be imported to be told."""

from collections.abc import Set as AbstractSet


def is_one_of(error: BaseException, names: AbstractSet[str]) -> bool:
    """Whether its class, or one that it is made from, has one of these names, such as ``nats.errors.Error``."""
    return any(f"{kind.__module__}.{kind.__qualname__}" in names for kind in type(error).__mro__)
