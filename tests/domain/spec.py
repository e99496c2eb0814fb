"""Specifications of an aggregate: ``given(events).when(command).then(events)``."""

from collections.abc import Callable, Sequence
from typing import Generic, NamedTuple, TypeVar

import pytest

from magi.domain.errors import Refused

S = TypeVar("S")
C = TypeVar("C")
E = TypeVar("E")


class Aggregate(NamedTuple, Generic[S, C, E]):
    """The three parts of one: what is to be specified."""

    initial: S
    decide: Callable[[S, C], list[E]]
    evolve: Callable[[S, E], S]

    def given(self, *events: E) -> "Given[S, C, E]":
        return Given(self, events)

    def fold(self, events: Sequence[E]) -> S:
        state = self.initial
        for event in events:
            state = self.evolve(state, event)
        return state


class Given(NamedTuple, Generic[S, C, E]):
    aggregate: Aggregate[S, C, E]
    history: tuple[E, ...]

    def when(self, command: C) -> "When[S, C, E]":
        return When(self.aggregate, self.history, command)


class When(NamedTuple, Generic[S, C, E]):
    aggregate: Aggregate[S, C, E]
    history: tuple[E, ...]
    command: C

    def then(self, *expected: E) -> None:
        """The command leads to exactly these events, and to none when it comes again after them."""
        assert self._decide(self.history) == list(expected)
        try:
            again = self._decide((*self.history, *expected))
        except Refused:
            return
        assert again == [], "the same command led to events twice"

    def then_nothing(self) -> None:
        assert self._decide(self.history) == []

    def then_refused(self, kind: type[Refused], message: str | None = None) -> None:
        """`message` is a regular expression that the refusal's text matches."""
        with pytest.raises(kind, match=message) as refused:
            self._decide(self.history)
        assert type(refused.value) is kind

    def _decide(self, history: tuple[E, ...]) -> list[E]:
        return self.aggregate.decide(self.aggregate.fold(history), self.command)
