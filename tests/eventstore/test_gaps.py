"""What lies behind a gap is found with few questions."""

from hypothesis import given
from hypothesis import strategies as st

from magi.eventstore.gaps import first_readable


@given(bad=st.integers(1, 5000), good=st.integers(0, 5000))
async def test_the_end_of_a_gap_is_found(bad: int, good: int) -> None:
    asked = 0

    async def read(sequence: int) -> int | None:
        nonlocal asked
        asked += 1
        return None if sequence <= bad else sequence

    found = await first_readable(read, 1, bad + good)
    assert found == (bad + 1 if good else None)
    assert asked <= 2 * bad.bit_length() + 2


async def test_of_two_gaps_one_end_is_found_and_something_readable_follows() -> None:
    async def read(sequence: int) -> int | None:
        return None if sequence <= 100 or 104 <= sequence <= 300 else sequence

    assert await first_readable(read, 1, 1000) in (101, 301)


async def test_a_deleted_message_behind_the_gap_is_gone_past() -> None:
    async def read(sequence: int) -> int | None:
        return None if sequence <= 9 else max(sequence, 13)

    assert await first_readable(read, 1, 20) == 13
