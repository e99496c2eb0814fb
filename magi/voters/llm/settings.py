"""What a voter of the kind `llm` is registered with, and where its rubric and its key are."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

from msgspec import Meta, Struct

from magi.voters.kind_settings import BadSettings
from magi.webhooks.addresses import PUBLIC, WITH_PRIVATE, AddressRefused, Reach, checked_url

MAX_RUBRIC_CHARS = 65_536
_MAX_KEY_BYTES = 8_192


class NoKey(Exception):
    """There is no usable key where the settings say. The message doesn't quote it."""


class LlmSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a voter of the kind `llm` is registered with."""

    model: Annotated[str, Meta(min_length=1, max_length=256)]
    base_url: Annotated[str, Meta(max_length=2048)]
    """What ``/chat/completions`` is appended to, such as ``https://api.openai.com/v1``."""
    rubric: str = ""
    """What a good answer is, in words for the model."""
    rubric_file: str = ""
    """The file with the rubric, instead of `rubric`; read when the voter is started."""
    temperature: Annotated[float, Meta(ge=0, le=2)] | None = 0.0
    """None: not sent, for models that refuse to be told."""
    timeout_seconds: Annotated[float, Meta(gt=0, le=86_400)] = 60.0
    """For one try; the task's own deadline may be sooner."""
    max_tries: Annotated[int, Meta(ge=1, le=100)] = 5
    """How often the server is asked before the attempt counts as failed."""
    key_variable: Annotated[str, Meta(pattern=r"\A([A-Za-z_][A-Za-z0-9_]*)?\Z")] = ""
    """The environment variable with the API key. Without it and `key_file` none is sent."""
    key_file: str = ""
    """The file with the API key, instead of the variable. Read for each task: a new key needs no restart."""
    max_answer_chars: Annotated[int, Meta(ge=1, le=10_000_000)] = 100_000
    """The most characters of query and answer together that are put before the model; of a longer task it abstains."""
    allow_private: bool = True
    """Whether addresses of this machine and of private networks may be called; link-local ones never are.

    They may, unlike those of webhooks, since that is where models of one's own run, and since next to nothing comes
    back from a server that doesn't speak the protocol: a status, or the message of a JSON error.
    """

    def __post_init__(self) -> None:
        try:
            url = checked_url(self.base_url, self.reach)
        except (ValueError, AddressRefused) as error:
            raise ValueError(f"base_url: {error}") from None
        if url.query_string or url.fragment:
            raise ValueError("base_url: a query or a fragment can't stand before /chat/completions")
        if bool(self.rubric.strip()) == bool(self.rubric_file):
            raise ValueError("rubric or rubric_file is needed, one of them")
        if self.key_variable and self.key_file:
            raise ValueError("key_variable or key_file, not both")
        if self.key_variable.startswith("MAGI_"):
            raise ValueError("key_variable: names with MAGI_ are settings")

    @property
    def reach(self) -> Reach:
        """The kinds of addresses that may be called."""
        return WITH_PRIVATE if self.allow_private else PUBLIC

    @property
    def endpoint(self) -> str:
        """The URL that is posted to."""
        return f"{self.base_url.rstrip('/')}/chat/completions"


def read_rubric(settings: LlmSettings) -> str:
    """The rubric, from the settings or their file. Raises BadSettings."""
    if not settings.rubric_file:
        where, text = "rubric", settings.rubric
    else:
        where = f"rubric_file {settings.rubric_file}"
        try:
            text = Path(settings.rubric_file).read_text("utf-8")
        except OSError as error:
            raise BadSettings(f"settings: {where}: can't be read: {error.strerror}") from None
        except ValueError:
            raise BadSettings(f"settings: {where}: not UTF-8 text") from None
    if not text.strip():
        raise BadSettings(f"settings: {where}: there is nothing in it")
    if len(text) > MAX_RUBRIC_CHARS:
        raise BadSettings(f"settings: {where}: {len(text)} characters, at most {MAX_RUBRIC_CHARS}")
    return text.strip()


def read_key(settings: LlmSettings, environment: Mapping[str, str]) -> str:
    """The API key, or nothing when the settings name none. Raises NoKey."""
    if settings.key_file:
        where = "the file of its API key"
        try:
            with Path(settings.key_file).open("rb") as file:
                text = file.read(_MAX_KEY_BYTES + 1).decode("ascii")
        except OSError as error:
            raise NoKey(f"{where} can't be read: {error.strerror}") from None
        except ValueError:
            raise NoKey(f"{where} holds no key") from None
    elif settings.key_variable:
        where = f"the variable {settings.key_variable}"
        text = environment.get(settings.key_variable, "")
    else:
        return ""
    key = text.strip()
    if not key:
        raise NoKey(f"{where} holds no key")
    # It becomes a header: whatever else is in it would be quoted by whoever refuses to send that.
    if len(key) > _MAX_KEY_BYTES or not key.isascii() or not key.isprintable() or " " in key:
        raise NoKey(f"{where} holds something else than a key")
    return key
