"""The demo's submissions: one TOML file each in `examples/`."""

import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct


class ExampleError(Exception):
    """An example can't be read. The message names the file and the field."""


class Example(Struct, frozen=True, forbid_unknown_fields=True):
    """What an agent was asked and answered, and what a sensible panel makes of it."""

    title: Annotated[str, Meta(min_length=1, max_length=60)]
    request_id: str
    user_query: str
    agent_answer: str
    expect: Literal["pass", "fail"]
    voter_list: tuple[str, ...] = ()
    strategy: str | dict[str, Any] = "minority_rule"
    timeout_ms: int = 30_000
    metadata: dict[str, Any] = {}
    repeat: Annotated[int, Meta(ge=1, le=10_000)] = 1
    """How often `agent_answer` is repeated: a very long answer without a very long file."""


def examples_folder() -> Path:
    """Where the examples are: inside the installed package, else `examples/` of the checkout. Raises ExampleError."""
    package = Path(__file__).parents[1]
    for folder in (package / "_examples", package.parent / "examples"):
        if folder.is_dir():
            return folder
    raise ExampleError(f"no examples: neither {package / '_examples'} nor {package.parent / 'examples'} exists")


def load_examples(folder: Path) -> list[Example]:
    """Every ``*.toml`` of `folder`, in the order of their names, answers repeated. Raises ExampleError."""
    found = [_load(file) for file in sorted(folder.glob("*.toml"))]
    if not found:
        raise ExampleError(f"{folder}: no examples in it")
    return found


def _load(file: Path) -> Example:
    try:
        raw = tomllib.loads(file.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise ExampleError(f"{file}: {error}") from error
    try:
        example = msgspec.convert(raw, Example)
    except msgspec.ValidationError as error:
        raise ExampleError(f"{file}: {error}") from error
    if example.repeat == 1:
        return example
    return msgspec.structs.replace(example, agent_answer=example.agent_answer * example.repeat, repeat=1)
