from pathlib import Path

import pytest

from magi.cli.checks_machine import FULL, NEAR_FULL, check_data, check_disk, check_postgres, judge_disk, judge_postgres
from magi.cli.context import Context
from magi.embedded import DataDir


@pytest.mark.parametrize(("free", "status"), [(NEAR_FULL, "ok"), (NEAR_FULL - 1, "warning"), (FULL - 1, "error")])
def test_a_disk_is_told_before_it_is_full(free: int, status: str) -> None:
    assert judge_disk(free, 2**40).status == status


def test_the_disk_of_a_directory_that_does_not_exist_yet_is_its_parents(tmp_path: Path) -> None:
    assert check_disk(tmp_path / "a" / "b").found == check_disk(tmp_path).found


@pytest.mark.parametrize(("number", "status"), [(180006, "ok"), (140000, "ok"), (130021, "error")])
def test_postgres_has_to_be_one_that_is_maintained(number: int, status: str) -> None:
    assert judge_postgres(number).status == status


async def test_no_postgres_is_a_warning_and_one_that_does_not_answer_an_error() -> None:
    assert (await check_postgres("")).status == "warning"
    silent = await check_postgres("postgresql://magi:secret@127.0.0.1:1/magi")
    assert silent.status == "error"
    assert "secret" not in silent.found


def test_a_missing_data_directory_is_told(tmp_path: Path) -> None:
    found = check_data(Context.load(tmp_path / "none"))
    assert (found.status, "magi serve" in found.advice) == ("warning", True)


def test_a_directory_of_something_else_is_told(tmp_path: Path) -> None:
    assert check_data(Context.load(tmp_path)).status == "warning"


def test_one_that_nothing_runs_over_is_an_error_and_one_that_is_being_started_a_warning(tmp_path: Path) -> None:
    with DataDir.open(tmp_path / "data") as data:
        assert check_data(Context.load(data.path)).status == "warning"
    assert check_data(Context.load(data.path)).status == "error"
