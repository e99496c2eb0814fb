"""Settings as they come from the directory."""

import pytest
from msgspec import Struct

from magi.voters.kind_settings import BadSettings, read_settings


class Colour(Struct, frozen=True, forbid_unknown_fields=True):
    name: str
    shades: tuple[int, ...] = ()


def test_they_become_what_their_kind_needs():
    assert read_settings({"name": "red", "shades": [1, 2]}, Colour) == Colour("red", (1, 2))


@pytest.mark.parametrize(("raw", "named"), [({}, "name"), ({"name": 1}, "name"), ({"name": "red", "hue": 1}, "hue")])
def test_a_field_that_does_not_fit_is_named(raw: dict[str, object], named: str):
    with pytest.raises(BadSettings, match=named):
        read_settings(raw, Colour)
