"""The stream files: ours say what the design says, and a wrong one is refused with its file and its field."""

from pathlib import Path

import pytest

from magi.eventstore.declarations import (
    DIRECTORY,
    INBOX,
    LOG,
    PARTITIONS,
    PRESENCE,
    TASKS,
    USAGE,
    DeclarationError,
    Overrides,
    StreamDeclaration,
    find,
    load_declarations,
    read_declaration,
    streams_folder,
)
from magi.eventstore.stream_config import Republish

GOOD = """
name = "MAGI_LOG"
subjects = ["magi.log.*.*"]
storage = "file"
retention = "limits"
discard = "new"
num_replicas = 1
duplicate_window = "2m"
"""


def read(tmp_path: Path, text: str) -> StreamDeclaration:
    file = tmp_path / "magi_some.toml"
    file.write_text(text)
    return read_declaration(file)


def test_our_files_declare_the_six_streams() -> None:
    assert {d.name for d in load_declarations()} == {LOG, INBOX, TASKS, DIRECTORY, PRESENCE, USAGE}


def test_the_log_is_kept_for_ever_and_republished() -> None:
    log = find(load_declarations(), LOG).config
    assert (log.storage, log.retention, log.discard, log.deny_delete, log.deny_purge) == (
        "file",
        "limits",
        "new",
        True,
        True,
    )
    assert (log.max_age, log.max_msgs, log.max_bytes, log.persist_mode) == (0, -1, -1, "default")
    assert log.republish == Republish(src="magi.log.>", dest="magi.live.>")


def test_tasks_outlive_the_longest_deadline() -> None:
    tasks = find(load_declarations(), TASKS).config
    assert tasks.max_age > 86_400_000 * 10**6
    assert tasks.allow_msg_ttl


def test_durations_and_sizes_are_read_in_their_units(tmp_path: Path) -> None:
    config = read(tmp_path, GOOD + 'max_age = "25h"\nmax_msg_size = "1MiB"\nmax_bytes = 4096\n').config
    assert (config.duplicate_window, config.max_age) == (120 * 10**9, 90_000 * 10**9)
    assert (config.max_msg_size, config.max_bytes) == (2**20, 4096)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (GOOD + 'max_agee = "1h"', r"max_agee: no such field of a stream; did you mean 'max_age'\?"),
        (GOOD + 'republish = {src = "a.>", dst = "b.>"}', r"republish\.dst: no such field"),
        (GOOD + 'republish = {src = "a.>"}', "dest"),
        (GOOD + 'mirror = {name = "X"}', "mirror: no such field"),
        (GOOD + "max_age = 4", "max_age: expected a duration such as '4s'"),
        (GOOD + 'max_age = "soon"', "max_age: expected a duration"),
        (GOOD + 'max_msg_size = "64MB"', "max_msg_size: expected a size"),
        (GOOD + "max_msgs = 0", "max_msgs: expected at least 1, or -1"),
        (GOOD + 'deny_delete = "yes"', "deny_delete: expected `bool`"),
        (GOOD + 'max_age = "1m"', "duplicate_window: can't be longer than max_age"),
        (GOOD + "metadata = {a = 1}", "metadata"),
        (GOOD.replace("num_replicas = 1", ""), "num_replicas: this field is missing"),
        (GOOD.replace("num_replicas = 1", "num_replicas = 6"), "num_replicas: expected 1 to 5, got 6"),
        (GOOD.replace('"file"', '"tape"'), "storage: invalid enum value 'tape'"),
        (GOOD.replace('["magi.log.*.*"]', "[]"), "subjects: expected at least one"),
        (GOOD.replace('"2m"', '"0s"'), "duplicate_window: expected more than nothing"),
        (GOOD.replace("MAGI_LOG", "MAGI_INBOX"), r"metadata\.magi\.partitions: expected a number from 1 to 1024"),
        ("name = ", "not TOML"),
    ],
)
def test_a_wrong_file_is_refused_with_its_name_and_the_field(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(DeclarationError, match=f"magi_some.toml: .*{message}"):
        read(tmp_path, text)


def test_a_file_that_is_not_utf8_is_refused(tmp_path: Path) -> None:
    (tmp_path / "latin.toml").write_bytes(b'description = "\xe9"')
    with pytest.raises(DeclarationError, match=r"latin\.toml: not TOML"):
        read_declaration(tmp_path / "latin.toml")


def test_a_file_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DeclarationError, match=r"none\.toml: can't be read"):
        read_declaration(tmp_path / "none.toml")


def test_a_stream_that_no_file_declares_is_named(tmp_path: Path) -> None:
    (tmp_path / "magi_log.toml").write_text(GOOD)
    with pytest.raises(DeclarationError, match="no file declares MAGI_INBOX, MAGI_TASKS"):
        load_declarations(tmp_path)


def test_a_stream_that_two_files_declare_is_refused(tmp_path: Path) -> None:
    for file in streams_folder().glob("*.toml"):
        (tmp_path / file.name).write_text(file.read_text())
    (tmp_path / "zzz.toml").write_text(GOOD)
    with pytest.raises(DeclarationError, match=r"zzz.toml: name: MAGI_LOG is declared by another file"):
        load_declarations(tmp_path)


def test_settings_override_replicas_storage_and_partitions() -> None:
    declarations = load_declarations(overrides=Overrides(replicas=3, partitions=16, storage="memory"))
    assert {(d.config.num_replicas, d.config.storage) for d in declarations} == {(3, "memory")}
    assert {d.name: d.config.metadata.get(PARTITIONS) for d in declarations if d.config.metadata} == {INBOX: "16"}


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (Overrides(replicas=0), "num_replicas: expected 1 to 5, got 0"),
        (Overrides(partitions=0), "magi.partitions: expected a number from 1 to 1024 as text, got '0'"),
        (Overrides(partitions=5000), "got '5000'"),
    ],
)
def test_a_wrong_override_is_refused(overrides: Overrides, message: str) -> None:
    with pytest.raises(DeclarationError, match=message):
        load_declarations(overrides=overrides)
