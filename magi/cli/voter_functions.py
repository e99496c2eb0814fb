"""Finding the function behind a voter that is run from the command line."""

import importlib
import sys
from collections.abc import Iterable

from magi.cli.settings import SettingsError
from magi.voters.agent import Judge
from magi.voters.builtin import BUILTIN


class NoSuchVoter(Exception):
    """Nothing to run: no function has this name."""


def check_builtin(names: Iterable[str]) -> None:
    """Raise SettingsError when the setting voters.builtin names a voter that doesn't come with MAGI."""
    for name in names:
        if name not in BUILTIN:
            raise SettingsError(f"voters.builtin: there is no built-in voter {name!r}; there are {', '.join(BUILTIN)}")


def find_function(name: str) -> Judge:
    """The judge of ``ID=module:function``. Raises NoSuchVoter."""
    target = name.partition("=")[2]
    module, _, function = target.partition(":")
    sys.path.insert(0, "")
    try:
        judge: Judge = getattr(importlib.import_module(module), function)
    except (ImportError, AttributeError, ValueError) as error:
        raise NoSuchVoter(f"{name}: {error}") from error
    if not callable(judge):
        raise NoSuchVoter(f"{name}: {target} is no function")
    return judge
