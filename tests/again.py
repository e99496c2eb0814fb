"""State that the tests of a module share, made anew when one of them is run again.

In CI a test that fails gets two more tries. They are futile for one that finds what its first try has left behind, or
that looks again at what was gathered once.
"""

import contextlib
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Generic, Self, TypeVar

import pytest

T = TypeVar("T")


def is_another_try(request: pytest.FixtureRequest) -> bool:
    """Whether this test has failed a moment ago and is run once more."""
    return int(getattr(request.node, "execution_count", 1)) > 1


class Shared(Generic[T]):
    """One state at a time, made by `make` when it is asked for. A context manager: whatever there is ends with it."""

    def __init__(self, make: Callable[[], AbstractContextManager[T]]) -> None:
        self._make = make
        self._exits = contextlib.ExitStack()
        self._made: list[T] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self._exits.close()

    def of(self, request: pytest.FixtureRequest) -> T:
        """The state for a test: that of the tests before it, or a new one when this is another try."""
        if self._made and is_another_try(request):
            self._made.clear()
            with contextlib.suppress(Exception):  # that it can't even be ended well may be why the test has failed
                self._exits.close()
        if not self._made:
            self._made.append(self._exits.enter_context(self._make()))
        return self._made[0]
