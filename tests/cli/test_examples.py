"""Loading the demo's submissions."""

from pathlib import Path

import pytest

from magi.cli.examples import ExampleError, examples_folder, load_examples

GOOD = 'title = "A"\nrequest_id = "a"\nuser_query = "q"\nagent_answer = "x"\nexpect = "pass"\n'


def test_files_are_read_in_the_order_of_their_names(tmp_path: Path):
    (tmp_path / "02-b.toml").write_text(GOOD.replace('"a"', '"b"'))
    (tmp_path / "01-a.toml").write_text(GOOD)
    assert [example.request_id for example in load_examples(tmp_path)] == ["a", "b"]


def test_an_answer_can_be_repeated(tmp_path: Path):
    (tmp_path / "01-a.toml").write_text(GOOD + "repeat = 3\n")
    assert load_examples(tmp_path)[0].agent_answer == "xxx"


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (('expect = "pass"', 'expect = "maybe"'), "expect"),
        (('title = "A"', "title = 1"), "title"),
        (('user_query = "q"\n', ""), "user_query"),
        (('title = "A"', 'title = "A"\ncolour = "red"'), "colour"),
        (('title = "A"', 'title = "A'), "line 1"),
    ],
)
def test_a_bad_file_is_named_with_its_field(tmp_path: Path, change: tuple[str, str], named: str):
    (tmp_path / "07-bad.toml").write_text(GOOD.replace(*change))
    with pytest.raises(ExampleError, match=named) as caught:
        load_examples(tmp_path)
    assert "07-bad.toml" in str(caught.value)


def test_an_empty_folder_is_an_error(tmp_path: Path):
    with pytest.raises(ExampleError, match="no examples"):
        load_examples(tmp_path)


def test_the_folder_of_the_checkout_is_found():
    assert load_examples(examples_folder())
