import os
import shutil
import stat
from pathlib import Path
from typing import Any

import pytest

from magi.embedded.files import LOG_LIMIT, gib, log_size, set_aside_big_log, tail, write_atomically


def test_a_file_is_replaced_with_the_wanted_permissions(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("old")
    file.chmod(0o644)
    write_atomically(file, b"new")
    assert file.read_bytes() == b"new"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    write_atomically(file, b"", mode=0o640)
    assert stat.S_IMODE(file.stat().st_mode) == 0o640
    assert [entry.name for entry in tmp_path.iterdir()] == ["file"]


def test_what_a_killed_write_left_is_no_obstacle_and_no_way_out(tmp_path: Path) -> None:
    (tmp_path / ".file.new").symlink_to(tmp_path / "elsewhere")
    write_atomically(tmp_path / "file", b"new")
    assert (tmp_path / "file").read_bytes() == b"new"
    assert not (tmp_path / "elsewhere").exists()


def test_the_old_file_stays_when_the_new_one_can_not_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("old")
    (tmp_path / ".file.new").mkdir()
    with pytest.raises(OSError):
        write_atomically(tmp_path / "file", b"new")
    assert (tmp_path / "file").read_text() == "old"


def test_the_tail_is_what_was_said_last_and_since(tmp_path: Path) -> None:
    log = tmp_path / "log"
    assert (log_size(log), tail(log, 0)) == (0, "")
    log.write_text("long ago\n")
    begin = log_size(log)
    assert tail(log, begin) == ""
    with log.open("a") as file:
        file.writelines(f"line {number}\n\n" for number in range(2000))
    assert tail(log, begin, lines=2) == "line 1998\nline 1999"
    assert len(tail(log, begin).splitlines()) == 12


def test_a_log_that_was_begun_anew_is_read_from_its_beginning(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("new")
    assert tail(log, since=1000) == "new"


def test_only_a_big_log_is_set_aside(tmp_path: Path) -> None:
    log = tmp_path / "log"
    set_aside_big_log(log)
    log.write_text("small")
    set_aside_big_log(log)
    assert log.read_text() == "small"
    with log.open("wb") as file:
        file.truncate(LOG_LIMIT + 1)
    set_aside_big_log(log)
    assert not log.exists()
    assert (tmp_path / "log.old").stat().st_size == LOG_LIMIT + 1


def test_a_folder_that_goes_while_it_is_measured_counts_for_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As nats-server removes those of its consumers at any time."""
    folders = [tmp_path / name for name in "ab"]
    for folder in folders:
        folder.mkdir()
        (folder / "block").write_bytes(bytes(1 << 20))
    look = os.stat

    def and_the_other_goes(path: Any, *args: Any, **options: Any) -> os.stat_result:
        if Path(path).name == "block":
            for folder in folders:
                if folder != Path(path).parent:
                    shutil.rmtree(folder, ignore_errors=True)
        return look(path, *args, **options)

    monkeypatch.setattr(os, "stat", and_the_other_goes)
    assert gib(tmp_path) == 1 / 1024
    assert gib(tmp_path / "nothing") == 0
