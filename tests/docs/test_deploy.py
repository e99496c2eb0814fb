"""The examples in deploy/ name commands, options, settings and paths that exist."""

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import typer.main
import yaml

from magi.cli.application import app
from magi.cli.nats_access import seed_file
from magi.cli.settings import names, variable
from magi.eventstore.rights import COMPONENTS

DEPLOY = Path(__file__).parents[2] / "deploy"
UNITS = sorted((DEPLOY / "systemd").glob("magi-*.service"))
COMPOSE: dict[str, Any] = yaml.safe_load((DEPLOY / "compose" / "compose.yaml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
KNOWN = {variable(name) for name, _ in names()} | {"MAGI_DATA", "MAGI_CONFIG"}


def check_command(words: list[str]) -> None:
    """`words` come after `magi`."""
    found: Any = typer.main.get_command(app)
    while hasattr(found, "commands"):
        found = found.commands[words.pop(0)]
    known = {option for parameter in found.params for option in parameter.opts}
    assert {word.partition("=")[0] for word in words if word.startswith("--")} <= known


def values(unit: Path, key: str) -> list[str]:
    return re.findall(rf"^{key}=(.*)$", unit.read_text(), re.MULTILINE)


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.stem)
def test_a_unit_runs_a_part_that_exists_with_settings_that_exist(unit: Path) -> None:
    (command,) = values(unit, "ExecStart")
    program, *arguments = shlex.split(command)
    assert program.endswith("/magi")
    check_command(arguments)
    assert {setting.partition("=")[0] for setting in values(unit, "Environment")} - {"PGPASSFILE"} <= KNOWN
    seeds = {str(seed_file(Path("/etc/magi/seeds"), component)) for component in COMPONENTS}
    given = {credential.partition(":")[2] for credential in values(unit, "LoadCredential")}
    assert len(given & seeds) == 1  # its own, and no other
    assert values(unit, "Type") == ["notify"]


def test_a_unit_runs_all_of_it() -> None:
    unit = DEPLOY / "systemd" / "magi.service"
    (command,) = values(unit, "ExecStart")
    check_command(shlex.split(command)[1:])
    assert {setting.partition("=")[0] for setting in values(unit, "Environment")} <= KNOWN


def test_there_is_a_unit_for_each_part() -> None:
    assert {unit.stem for unit in UNITS} == {"magi-gateway", "magi-orchestrator", "magi-projector", "magi-voters"}


def test_a_gateway_is_given_the_time_that_it_takes_to_stop() -> None:
    (seconds,) = values(DEPLOY / "systemd" / "magi-gateway.service", "TimeoutStopSec")
    assert int(seconds) > 3 + 2.2  # gateway.grace_seconds, and the rest
    assert SERVICES["gateway"]["stop_grace_period"] == f"{seconds}s"


@pytest.mark.parametrize("name", [name for name in SERVICES if name != "postgres"])
def test_a_service_runs_a_command_that_exists_with_settings_that_exist(name: str) -> None:
    service = SERVICES[name]
    program, *arguments = [*service.get("entrypoint", []), *service["command"]]
    if program == "magi":
        check_command(arguments)
    else:
        assert program == "nats-server"
    assert {key for key in service.get("environment", {}) if key.startswith("MAGI_")} <= KNOWN
    assert set(service.get("secrets", [])) <= set(COMPOSE["secrets"])
    volumes = {volume.partition(":")[0] for volume in service.get("volumes", []) if not volume.startswith(".")}
    assert volumes <= set(COMPOSE["volumes"])


def test_the_commands_in_its_comments_exist() -> None:
    text = (DEPLOY / "compose" / "compose.yaml").read_text()
    told = re.findall(r"^#   (?:docker compose run --rm operator|magi) (.*)$", text, re.MULTILINE)
    assert len(told) >= 5
    for words in told:
        check_command(shlex.split(words))


def test_the_image_has_what_the_package_needs() -> None:
    root = DEPLOY.parent
    copied = re.findall(r"^COPY (?!--from)(.*) \S+$", (DEPLOY / "compose" / "Dockerfile").read_text(), re.MULTILINE)
    assert all((root / name).exists() for line in copied for name in line.split())
