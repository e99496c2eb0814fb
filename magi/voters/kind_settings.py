"""A registered voter's `settings` as the struct of its kind. Both check what they can before anything is judged."""

from collections.abc import Mapping
from typing import Any, TypeVar

import msgspec

Settings = TypeVar("Settings", bound=msgspec.Struct)


class BadSettings(Exception):
    """A voter's settings don't fit its kind. The message names the field."""


def read_settings(raw: Mapping[str, Any], kind: type[Settings]) -> Settings:
    """`raw`, as the directory holds it, as a `kind`. Raises BadSettings."""
    try:
        return msgspec.convert(dict(raw), kind)
    except msgspec.ValidationError as error:
        raise BadSettings(f"settings: {error}") from None
