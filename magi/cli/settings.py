"""The settings: each has one name, one default, and one place in the order of who overrides whom.

Default < a running ``magi serve`` < the file < the environment < the command line. ``nats.url`` in the file is
``MAGI_NATS_URL`` in the environment. `magi config show` prints what is in force and where it came from.
"""

import difflib
import os
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct

from magi.alerts.settings import AlertSettings
from magi.cli.setting_forms import problem_of_form
from magi.cli.setting_words import expected, given
from magi.gateway.settings import GatewaySettings
from magi.orchestrator.health import HealthSettings
from magi.telemetry.tracing_settings import TracingSettings
from magi.voters.callback_settings import CallbackSettings

PREFIX = "MAGI_"
FILE = "magi.toml"
_OTHERS = frozenset(
    {"MAGI_DATA", "MAGI_CONFIG", "MAGI_VOTER_SEED", "MAGI_PART", "MAGI_URL", "MAGI_TOKEN", "MAGI_VOTER_TOKEN"}
)
"""Variables of ours that are no settings."""


class SettingsError(Exception):
    """A setting can't be used. The message names the setting, where it was set, and what was expected."""


class NatsSettings(Struct, frozen=True, forbid_unknown_fields=True):
    url: str = ""
    """Where NATS is; empty: the embedded server of `magi serve`."""
    seed_file: str = ""
    """The file with the nkey seed to connect with, whatever part it is; empty: `seed_dir` is looked at."""
    seed_dir: str = ""
    """The folder with a seed for each part, `gateway.seed` and so on (`magi nats config`); empty: none."""
    tls_ca: str = ""
    """The file with the CAs that the server's certificate is checked against; empty: those of the system."""
    tls_cert: str = ""
    """The file with a certificate to show to the server, if it wants one."""
    tls_key: str = ""
    """The file with its key."""
    monitor_url: str = ""
    """The server's monitoring address: the only place that tells its sync_interval."""
    sync_interval: Annotated[
        str,
        Meta(
            pattern=r"^(always|any|[1-9]\d*(ms|s|m|h))$", description="always, any, or a duration such as 2m or 500ms"
        ),
    ] = "always"
    """The least durability: `always`, a duration such as `2m`, or `any` to go without looking."""
    replicas: Annotated[int, Meta(ge=1, le=5)] = 1
    """Copies of every stream."""


class PostgresSettings(Struct, frozen=True, forbid_unknown_fields=True):
    url: str = ""
    """Where Postgres is; empty: the embedded server of `magi serve`."""


class OrchestratorSection(Struct, frozen=True, forbid_unknown_fields=True):
    partitions: Annotated[int, Meta(ge=1, le=256)] = 8
    """Of the inbox. Changed by `magi streams apply` and at the start of `magi serve`, while the inbox is empty."""
    panel_size: Annotated[int, Meta(ge=1, le=64)] = 5
    """The most voters of a panel that nobody named."""
    default_group: Annotated[
        str, Meta(pattern=r"^[a-z0-9_-]{1,64}$", description="a name of a-z, 0-9, _ and -, at most 64 of them")
    ] = "default"
    """The group that such a panel is chosen from."""
    default_panel: Annotated[
        str, Meta(pattern=r"^[a-z0-9_-]{0,64}$", description="nothing, or a panel's name of a-z, 0-9, _ and -")
    ] = ""
    """The panel template (`magi panels`) for requests that name neither voters nor a panel; empty: the group."""


class VotersSection(Struct, frozen=True, forbid_unknown_fields=True):
    capacity: Annotated[int, Meta(ge=0, le=1024)] = 0
    """Tasks that an instance judges at once; 0: as many as it is registered with."""
    builtin: tuple[str, ...] = ("melchior", "balthasar", "casper")
    """The built-in voters that `magi serve` registers, and so runs."""


class ProjectionsSection(Struct, frozen=True, forbid_unknown_fields=True):
    content: bool = False
    """Whether tables that are built from now on hold what was submitted."""
    batch_events: Annotated[int, Meta(ge=1, le=100_000)] = 500
    """So many messages that wait are written without waiting for more."""
    batch_ms: Annotated[int, Meta(ge=0, le=10_000)] = 50
    """How long fewer wait for more."""
    catch_up_events: Annotated[int, Meta(ge=1, le=100_000)] = 5000
    """The most that are written at once."""


class OperationsSection(Struct, frozen=True, forbid_unknown_fields=True):
    enabled: bool = True
    """Whether the parts of `magi serve` show metrics, and others where a port is set."""
    host: str = "127.0.0.1"
    """Where `/metrics` and `/healthz` of each part are. Whoever reaches them learns who votes how, and no content."""
    port: Annotated[int, Meta(ge=0, le=65_532)] = 0
    """Of a part; under `magi serve` of the first one, and those of the others follow. 0: any that is free there, and
    none for a part that runs alone."""


class LogSection(Struct, frozen=True, forbid_unknown_fields=True):
    level: Literal["debug", "info", "warning", "error"] = "info"
    parts: tuple[str, ...] = ()
    """Levels of single parts, each as `gateway=debug`."""
    format: Literal["auto", "json", "console"] = "auto"
    """`auto`: readable on a terminal, else JSON."""


class Settings(Struct, frozen=True, forbid_unknown_fields=True):
    nats: NatsSettings = NatsSettings()
    postgres: PostgresSettings = PostgresSettings()
    gateway: GatewaySettings = GatewaySettings()
    orchestrator: OrchestratorSection = OrchestratorSection()
    health: HealthSettings = HealthSettings()
    alerts: AlertSettings = AlertSettings()
    voters: VotersSection = VotersSection()
    callbacks: CallbackSettings = CallbackSettings()
    projections: ProjectionsSection = ProjectionsSection()
    operations: OperationsSection = OperationsSection()
    tracing: TracingSettings = TracingSettings()
    log: LogSection = LogSection()


class Setting(Struct, frozen=True):
    """One setting as it is in force."""

    name: str
    value: Any
    source: str
    """`default`, or the file, variable or option that set it."""


def names(kind: type[Struct] = Settings, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Every setting's dotted name and its type."""
    for field in msgspec.structs.fields(kind):
        if isinstance(field.type, type) and issubclass(field.type, Struct):
            yield from names(field.type, f"{prefix}{field.encode_name}.")
        else:
            yield prefix + field.encode_name, field.type


def variable(name: str) -> str:
    """The environment variable of a setting."""
    return PREFIX + name.replace(".", "_").upper()


def load(
    file: Path | None,
    environment: Mapping[str, str] = os.environ,
    running: Mapping[str, Any] | None = None,
    options: Mapping[str, Any] | None = None,
) -> tuple[Settings, list[Setting]]:
    """The settings in force, and each with its source.

    `running` and `options` are by dotted name; values that are None don't count. Raises SettingsError.
    """
    types = dict(names())
    values: dict[str, tuple[Any, str]] = {}
    for name, value in (running or {}).items():
        if value is not None:
            values[name] = (value, "magi serve")
    for name, value in _from_file(file, types).items():
        values[name] = (value, str(file))
    for name, value in _from_environment(environment, types).items():
        values[name] = (value, variable(name))
    for name, value in (options or {}).items():
        if value is not None:
            values[name] = (value, f"--{name.rpartition('.')[2].replace('_', '-')}")
    tree: dict[str, Any] = {}
    for name, (value, source) in values.items():
        *path, last = name.split(".")
        inner = tree
        for part in path:
            inner = inner.setdefault(part, {})
        inner[last] = _checked(name, value, types[name], source)
    settings = msgspec.convert(tree, Settings)
    in_force = [Setting(name, _get(settings, name), values.get(name, (None, "default"))[1]) for name in types]
    return settings, in_force


def _checked(name: str, value: Any, kind: Any, source: str) -> Any:
    try:
        found = msgspec.to_builtins(msgspec.convert(value, kind, strict=not isinstance(value, str)))
    except msgspec.ValidationError:
        raise SettingsError(f"{source}: {name}: expected {expected(kind)}, got {given(name, value)}") from None
    if problem := problem_of_form(name, found):
        raise SettingsError(f"{source}: {name}: {problem}")
    return found


def _get(settings: Any, name: str) -> Any:
    for part in name.split("."):
        settings = getattr(settings, part)
    return settings


def _from_file(file: Path | None, types: Mapping[str, Any]) -> dict[str, Any]:
    if file is None:
        return {}
    try:
        tree = tomllib.loads(file.read_text("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"{file}: not TOML: {error}") from None
    except OSError as error:
        raise SettingsError(f"{file}: can't be read: {error.strerror}") from None
    found: dict[str, Any] = {}
    for name, value in _flat(tree, types):
        if any(known.startswith(f"{name}.") for known in types):
            raise SettingsError(f"{file}: {name}: expected a table, [{name}], got {given(name, value)}")
        if name not in types:
            raise SettingsError(f"{file}: {name}: no such setting{_did_you_mean(name, types)}")
        found[name] = value
    return found


def _flat(tree: Mapping[str, Any], types: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in tree.items():
        if isinstance(value, dict) and any(name.startswith(f"{prefix}{key}.") for name in types):
            yield from _flat(value, types, f"{prefix}{key}.")
        else:
            yield prefix + key, value


def _from_environment(environment: Mapping[str, str], types: Mapping[str, Any]) -> dict[str, Any]:
    variables = {variable(name): name for name in types}
    found: dict[str, Any] = {}
    for key, text in environment.items():
        if not key.startswith(PREFIX) or key in _OTHERS or key.startswith(("MAGI_ES_", "MAGI_TEST_")):
            continue
        if key not in variables:
            raise SettingsError(f"{key}: no such setting{_did_you_mean(key, variables)}")
        name = variables[key]
        is_list = str(types[name]).startswith(("tuple", "list"))
        found[name] = [part.strip() for part in text.split(",") if part.strip()] if is_list else text
    return found


def _did_you_mean(name: str, known: Mapping[str, Any]) -> str:
    close = difflib.get_close_matches(name, known, 1)
    return f"; did you mean {close[0]}?" if close else "; `magi config show` lists them all"
