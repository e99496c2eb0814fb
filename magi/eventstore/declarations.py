"""What the streams are declared to be: reads `streams/*.toml`, one file a stream, and checks every field.

Pure but for reading the files. What the live streams are is `streams.py`, how the two compare is `differences.py`.
"""

import difflib
import re
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from magi.eventstore import stream_config
from magi.eventstore.stream_config import Storage, StreamConfig
from magi.eventstore.units import parse_duration, parse_size

LOG = "MAGI_LOG"
INBOX = "MAGI_INBOX"
TASKS = "MAGI_TASKS"
DIRECTORY = "MAGI_DIRECTORY"
PRESENCE = "KV_magi_presence"
USAGE = "KV_magi_usage"
REQUIRED = (LOG, INBOX, TASKS, DIRECTORY, PRESENCE, USAGE)

PARTITIONS = "magi.partitions"
"""The inbox's metadata key for the number of its partitions: kept on the stream, so that all parts read the same."""
MAX_PARTITIONS = 1024
"""Each partition is a durable consumer that every orchestrator keeps a pull request open on (about 50 KB, 1 ms)."""
MAX_REPLICAS = 5
"""JetStream's own bound."""


class DeclarationError(Exception):
    """A stream's file, or an override of it, is wrong. The message names the file and the field."""


class StreamDeclaration(Struct, frozen=True):
    """What one stream has to be."""

    name: str
    config: StreamConfig


class Overrides(Struct, frozen=True):
    """What the settings may change of the files; None leaves the file's value."""

    replicas: int | None = None
    """Copies of every stream, 1 to 5 (more than one needs a cluster)."""
    partitions: int | None = None
    """Partitions of the inbox."""
    storage: Storage | None = None
    """Of every stream: ``memory`` for tests."""


NO_OVERRIDES = Overrides()


def streams_folder() -> Path:
    """Where the stream files are: inside the installed package, else `streams/` of the checkout.

    Raises DeclarationError when there is neither.
    """
    package = Path(__file__).parents[1]
    for folder in (package / "_streams", package.parent / "streams"):
        if folder.is_dir():
            return folder
    raise DeclarationError(f"no stream files: neither {package / '_streams'} nor {package.parent / 'streams'} exists")


def load_declarations(folder: Path | None = None, overrides: Overrides = NO_OVERRIDES) -> tuple[StreamDeclaration, ...]:
    """Read every ``*.toml`` of `folder` (default: ours), in the order of their names, with `overrides` applied.

    Raises DeclarationError naming the file and the field, or the stream that no file declares.
    """
    folder = streams_folder() if folder is None else folder
    found: dict[str, StreamDeclaration] = {}
    for file in sorted(folder.glob("*.toml")):
        declaration = read_declaration(file)
        if declaration.name in found:
            raise DeclarationError(f"{file}: name: {declaration.name} is declared by another file too")
        found[declaration.name] = declaration
    missing = [name for name in REQUIRED if name not in found]
    if missing:
        raise DeclarationError(f"{folder}: no file declares {', '.join(missing)}")
    return tuple(override(declaration, overrides) for declaration in found.values())


def read_declaration(file: Path) -> StreamDeclaration:
    """The stream that `file` declares. Raises DeclarationError."""
    try:
        raw = tomllib.loads(file.read_text("utf-8"))
    except OSError as error:
        raise DeclarationError(f"{file}: can't be read: {error.strerror}") from error
    except ValueError as error:  # of TOML's syntax, or of UTF-8
        raise DeclarationError(f"{file}: not TOML: {error}") from error
    try:
        config = parse_config(raw)
    except ValueError as error:
        raise DeclarationError(f"{file}: {error}") from error
    return StreamDeclaration(config.name, config)


def parse_config(raw: Mapping[str, object]) -> StreamConfig:
    """Check a stream's fields and convert their units. Raises ValueError ``<field>: <what is wrong>``."""
    known = set(StreamConfig.__struct_fields__) - stream_config.NOT_DECLARABLE
    _refuse_unknown(raw, known, "")
    for name, nested in stream_config.NESTED.items():
        inner = raw.get(name)
        if isinstance(inner, dict):
            _refuse_unknown(inner, set(nested.__struct_fields__), f"{name}.")
    plain = {name: _number(name, value) for name, value in raw.items()}
    try:
        config = msgspec.convert(plain, StreamConfig)
    except msgspec.ValidationError as error:
        raise ValueError(_field_first(str(error))) from error
    _check(config)
    return config


def override(declaration: StreamDeclaration, overrides: Overrides) -> StreamDeclaration:
    """`declaration` with what the settings say. Raises DeclarationError naming the setting's value."""
    config = declaration.config
    if overrides.replicas is not None:
        config = replace(config, num_replicas=overrides.replicas)
    if overrides.storage is not None:
        config = replace(config, storage=overrides.storage)
    if overrides.partitions is not None and declaration.name == INBOX:
        config = replace(config, metadata={**config.metadata, PARTITIONS: str(overrides.partitions)})
    try:
        _check(config)
    except ValueError as error:
        raise DeclarationError(f"settings for the stream {declaration.name}: {error}") from error
    return StreamDeclaration(declaration.name, config)


def find(declarations: Iterable[StreamDeclaration], name: str) -> StreamDeclaration:
    """The declaration of the stream `name`. Raises DeclarationError."""
    for declaration in declarations:
        if declaration.name == name:
            return declaration
    raise DeclarationError(f"no declaration of the stream {name}")


def parse_partitions(text: str | None) -> int:
    """The number of partitions in the inbox's metadata. Raises ValueError when it is absent or not 1 to 1024."""
    if text is None or not re.fullmatch(r"[0-9]{1,4}", text) or not 1 <= int(text) <= MAX_PARTITIONS:
        raise ValueError(f"metadata.{PARTITIONS}: expected a number from 1 to {MAX_PARTITIONS} as text, got {text!r}")
    return int(text)


def _refuse_unknown(raw: Mapping[str, object], known: Iterable[str], prefix: str) -> None:
    for name in raw:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise ValueError(f"{prefix}{name}: no such field of a stream{hint}")


def _number(name: str, value: object) -> object:
    """Nanoseconds or bytes for a field that holds a duration or a size; any other value as it is."""
    try:
        if name in stream_config.DURATIONS:
            # A bare number would be nanoseconds to JetStream and seconds to whoever reads the file.
            return parse_duration(value if isinstance(value, str) else repr(value))
        if name in stream_config.SIZES and isinstance(value, str):
            return parse_size(value)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from error
    return value


def _field_first(message: str) -> str:
    """msgspec's ``Expected `int`, got `str` - at `$.num_replicas``` with the field in front, as everywhere else."""
    what, _, where = message.partition(" - at `$.")
    if where:
        return f"{where.rstrip('`')}: {what[0].lower()}{what[1:]}"
    missing = re.fullmatch(r"Object missing required field `(\w+)`", message)
    return f"{missing[1]}: this field is missing" if missing else message


def _check(config: StreamConfig) -> None:
    """What holds between fields, or within one beyond its type. Raises ValueError naming the field."""
    if not config.subjects:
        raise ValueError("subjects: expected at least one")
    if not 1 <= config.num_replicas <= MAX_REPLICAS:
        raise ValueError(f"num_replicas: expected 1 to {MAX_REPLICAS}, got {config.num_replicas}")
    for name in sorted(stream_config.LIMITS):
        value: int = getattr(config, name)
        if value < 1 and value != stream_config.UNLIMITED:
            raise ValueError(f"{name}: expected at least 1, or -1 for no limit, got {value}")
    if config.duplicate_window <= 0:
        raise ValueError("duplicate_window: expected more than nothing: JetStream would take its own default instead")
    if 0 < config.max_age < config.duplicate_window:
        raise ValueError("duplicate_window: can't be longer than max_age, or JetStream refuses the stream")
    if config.name == INBOX:
        parse_partitions(config.metadata.get(PARTITIONS))
