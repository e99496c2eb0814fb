import os
import signal
import stat
from pathlib import Path

import pytest

from magi.embedded.datadir import FORMAT, DataDir, holder
from magi.embedded.errors import DataDirError, DataDirLocked, DataDirVersionError
from magi.embedded.process import run
from tests.embedded.processes import program, python_as

HOLDS_IT = """
import signal, sys
from magi.embedded import DataDir
data = DataDir.open(sys.argv[1])
print("open", flush=True)
signal.pause()
"""

OPENS_IT = """
import sys
from magi.embedded import DataDir, DataDirError
try:
    DataDir.open(sys.argv[1])
except DataDirError as error:
    print(type(error).__name__, error)
"""


def test_a_new_one_is_made_for_this_user_only(tmp_path: Path) -> None:
    with DataDir.open(tmp_path / "not" / "yet" / "there") as data:
        assert stat.S_IMODE(data.path.stat().st_mode) == 0o700
        for folder in (data.keys, data.nats, data.postgres, data.run, data.logs):
            assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        assert (data.path / ".gitignore").read_text().endswith("*\n")


def test_it_opens_again_after_close(tmp_path: Path) -> None:
    for _ in range(2):
        data = DataDir.open(tmp_path / "data")
        data.close()
        data.close()


def test_a_symbolic_link_leads_to_the_same_directory(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "data")
    with DataDir.open(tmp_path / "link") as data:
        assert data.path == tmp_path / "data"
        with pytest.raises(DataDirLocked):
            DataDir.open(tmp_path / "data")


def test_another_process_is_refused_with_the_directory_and_the_holder(tmp_path: Path) -> None:
    path = tmp_path / "data"
    with program(HOLDS_IT, str(path)) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "open\n"
        with pytest.raises(DataDirLocked) as refused:
            DataDir.open(path)
        assert refused.value.pid == other.pid
        assert str(path) in str(refused.value)
        assert str(other.pid) in str(refused.value)
        found = holder(path)
        assert found is not None
        assert found.pid == other.pid


def test_the_lock_of_a_killed_process_is_no_obstacle(tmp_path: Path) -> None:
    path = tmp_path / "data"
    with program(HOLDS_IT, str(path)) as other:
        assert other.stdout is not None
        other.stdout.readline()
        other.send_signal(signal.SIGKILL)
        other.wait()
        assert holder(path) is None
        with DataDir.open(path):
            found = holder(path)
            assert found is not None
            assert found.pid == os.getpid()


def test_asking_who_holds_it_neither_makes_nor_takes_it(tmp_path: Path) -> None:
    assert holder(tmp_path / "data") is None
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (f'{{"format":{FORMAT + 1},"magi":"9.9"}}', f"format {FORMAT + 1} (written by MAGI 9.9)"),
        ('{"format":0,"magi":"0.0.1"}', "format 0 (written by MAGI 0.0.1)"),
        ("eighteen", "b'eighteen'"),
        ("", "b''"),
        ('{"format":"1","magi":"9.9"}', "version file"),
    ],
)
def test_another_format_is_refused_with_what_was_found_and_what_to_do(tmp_path: Path, content: str, found: str) -> None:
    DataDir.open(tmp_path / "data").close()
    (tmp_path / "data" / "version").write_text(content)
    with pytest.raises(DataDirVersionError) as refused:
        DataDir.open(tmp_path / "data")
    said = str(refused.value)
    assert found in said
    assert f"reads format {FORMAT}" in said
    assert "--data" in said
    assert holder(tmp_path / "data") is None  # the lock is not kept


def test_an_older_format_becomes_the_present_one(tmp_path: Path) -> None:
    DataDir.open(tmp_path / "data").close()
    version = tmp_path / "data" / "version"
    version.write_text('{"format":1,"magi":"0.1.0"}')
    DataDir.open(tmp_path / "data").close()
    assert f'"format":{FORMAT}' in version.read_text()


def test_a_directory_with_other_things_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("…")
    with pytest.raises(DataDirError, match=r"thesis\.tex"):
        DataDir.open(tmp_path)
    assert [entry.name for entry in tmp_path.iterdir()] == ["thesis.tex"]


def test_settings_may_be_there_before_the_first_start(tmp_path: Path) -> None:
    (tmp_path / "magi.toml").write_text("")
    DataDir.open(tmp_path).close()


def test_a_first_start_that_was_cut_short_is_taken_up_again(tmp_path: Path) -> None:
    DataDir.open(tmp_path / "data").close()
    (tmp_path / "data" / "version").unlink()
    DataDir.open(tmp_path / "data").close()
    assert (tmp_path / "data" / "version").exists()


def test_a_lost_log_is_not_replaced_by_an_empty_one(tmp_path: Path) -> None:
    DataDir.open(tmp_path / "data").close()
    (tmp_path / "data" / "nats").rmdir()
    with pytest.raises(DataDirError, match="nats/ is missing"):
        DataDir.open(tmp_path / "data")


def test_what_can_be_made_again_is(tmp_path: Path) -> None:
    DataDir.open(tmp_path / "data").close()
    (tmp_path / "data" / "postgres").rmdir()
    with DataDir.open(tmp_path / "data") as data:
        assert data.postgres.is_dir()


@pytest.mark.parametrize("below", ["", "data"])
def test_a_file_in_its_place_is_named(tmp_path: Path, below: str) -> None:
    file = tmp_path / "file"
    file.write_text("")
    with pytest.raises(DataDirError, match=r"file.*--data"):
        DataDir.open(file / below)


@pytest.mark.parametrize("name", ["a" * 300, "line\nbreak", "nul\0", "loop"])
def test_an_impossible_path_is_refused_by_a_typed_error(tmp_path: Path, name: str) -> None:
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    with pytest.raises(DataDirError, match="--data"):
        DataDir.open(tmp_path / name)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs two users")
async def test_a_directory_of_somebody_else_is_refused_with_advice(tmp_path: Path) -> None:
    DataDir.open(tmp_path / "data").close()
    code, said = await run(python_as(65534, OPENS_IT, tmp_path, str(tmp_path / "data")))
    assert code == 0
    assert "DataDirError" in said
    assert str(tmp_path) in said
    assert "chown" in said


@pytest.mark.skipif(os.geteuid() != 0, reason="needs two users")
def test_even_root_is_refused_the_data_of_somebody_else(tmp_path: Path) -> None:
    DataDir.open(tmp_path / "data").close()
    for path in (tmp_path / "data", *(tmp_path / "data").rglob("*")):
        os.chown(path, 54321, 54321)
    with pytest.raises(DataDirError, match=r"belongs to the user with the id 54321.*chown"):
        DataDir.open(tmp_path / "data")
