"""What a panel template asks for, member by member: `melchior, balthasar, 1 of llm`. Pure."""

import re
from collections.abc import Sequence

from msgspec import Struct

from magi.domain.errors import InvalidMessage
from magi.domain.ids import VoterId, check_name

MOST_SEATS = 64
"""As many as a request may name."""

_OF = re.compile(r"(\S+)\s+of\s+(\S+)\Z")


class NamedVoter(Struct, frozen=True):
    """One seat, for this voter."""

    voter: VoterId

    @property
    def seats(self) -> int:
        return 1

    def __str__(self) -> str:
        return self.voter


class SomeOf(Struct, frozen=True):
    """Seats for so many voters of a group, whichever are least loaded."""

    seats: int
    group: str

    def __str__(self) -> str:
        return f"{self.seats} of {self.group}"


Slot = NamedVoter | SomeOf


def parse_members(text: str) -> tuple[Slot, ...]:
    """The slots that a text names, separated by commas. Raises InvalidMessage, naming the part that doesn't fit."""
    return parse_slots(text.split(","))


def parse_slots(members: Sequence[str]) -> tuple[Slot, ...]:
    """The slot that each text is. Raises InvalidMessage: a text is none, there are too many, or something is twice."""
    slots = tuple(_slot(member.strip()) for member in members)
    if not slots:
        raise InvalidMessage("members: expected at least one")
    seats = sum(slot.seats for slot in slots)
    if seats > MOST_SEATS:
        raise InvalidMessage(f"members: expected at most {MOST_SEATS} voters, got {seats}")
    seen: set[str] = set()
    for slot in slots:
        what = f"voter {slot.voter!r}" if isinstance(slot, NamedVoter) else f"group {slot.group!r}"
        if what in seen:
            raise InvalidMessage(f"members: the {what} is there twice")
        seen.add(what)
    return slots


def _slot(text: str) -> Slot:
    found = _OF.match(text)
    if not found:
        if not text:
            raise InvalidMessage("members: expected a voter or `NUMBER of GROUP` between two commas")
        return NamedVoter(VoterId(check_name(text, "members")))
    number, group = found.groups()
    if not (number.isascii() and number.isdigit() and len(number) <= 3 and 1 <= int(number) <= MOST_SEATS):
        raise InvalidMessage(f"members: {text[:80]!r}: expected a number from 1 to {MOST_SEATS}, got {number[:20]!r}")
    return SomeOf(int(number), check_name(group, f"members: {text[:80]!r}: the group"))
