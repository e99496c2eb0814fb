"""The commands of `magi` by their names: all are there, and calling one imports no other."""

import json
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest
import typer.main

import magi as package
from magi.cli.application import app
from magi.cli.command_list import COMMANDS
from magi.cli.log_lines import TELLING
from magi.cli.main import EXPECTED
from tests.cli.commands import magi

_IMPORTED = """
import json, sys
from magi.cli.main import run
sys.argv = ["magi", *sys.argv[1:]]
try:
    run()
except SystemExit:
    pass
print(json.dumps(sorted(sys.modules)))
"""


@pytest.mark.parametrize("name", COMMANDS)
def test_what_is_said_of_a_command_is_how_its_own_help_begins(name: str) -> None:
    command = typer.main.get_command(app).commands[name]  # type: ignore[attr-defined]
    assert (command.help or "").split("\n\n")[0].replace("\n", " ") == COMMANDS[name].about


@pytest.mark.parametrize("name", sorted(EXPECTED | TELLING))
def test_errors_that_are_known_by_name_exist(name: str) -> None:
    module, _, kind = name.rpartition(".")
    assert issubclass(getattr(import_module(module), kind), Exception)


def imported(*arguments: str, data: Path) -> set[str]:
    """The modules that a command has imported when it ends."""
    done = subprocess.run(
        [sys.executable, "-c", _IMPORTED, *arguments, "--data", str(data)], capture_output=True, text=True, timeout=60
    )
    return set(json.loads(done.stdout.splitlines()[-1]))


def test_submitting_needs_neither_nats_nor_servers_nor_rules(tmp_path: Path) -> None:
    found = imported("submit", "--query", "q", "--answer", "a", "--strategy", "veto", data=tmp_path)
    assert "websockets.asyncio.client" in found
    assert not found & {"nats", "aiohttp", "psycopg", "nkeys", "magi.cli.serve", "magi.gateway.server", "yaml"}


def test_a_name_that_is_none_leads_to_the_nearest(tmp_path: Path) -> None:
    assert "Did you mean 'history'?" in magi("histroy", data=tmp_path).complaint
    listed = magi("--help", data=tmp_path).stdout
    assert all(name in listed for name in COMMANDS)
    assert magi("--version", data=tmp_path).stdout == f"magi {package.__version__}\n"
