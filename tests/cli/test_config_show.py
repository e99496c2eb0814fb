"""`magi config show`, as a person and a program read it."""

from pathlib import Path

from tests.cli.commands import magi


def test_each_setting_has_a_line_of_its_own_however_long(tmp_path: Path) -> None:
    shown = magi("config", "show", data=tmp_path / ("long" * 40))
    lines = shown.lines
    assert lines[0].split() == ["setting", "value", "from", "variable"]
    assert any(line.split()[0] == "log.level" and line.endswith("MAGI_LOG_LEVEL") for line in lines if line)
    assert lines[-1] == f"data directory: {tmp_path / ('long' * 40)}"


def test_a_data_directory_that_is_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    refused = magi("config", "show", data=tmp_path / "file")
    assert refused.code == 2
    assert "expected (--data, or MAGI_DATA)" in refused.complaint
