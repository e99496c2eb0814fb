import json
import unicodedata

from magi.cli.safe import printable, printable_json, printable_line


def test_what_a_terminal_would_obey_is_written_out() -> None:
    assert printable("\x1b[2Jred\x07 \x9b31m \x7f") == r"\x1b[2Jred\x07 \x9b31m \x7f"


def test_a_carriage_return_can_not_hide_what_stands_before_it() -> None:
    assert printable("rm -rf /\rls") == r"rm -rf /\x0dls"


def test_text_can_not_be_turned_around() -> None:
    assert printable("a\u202eb\u2066c\u200f") == r"a\u202eb\u2066c\u200f"


def test_no_control_character_survives() -> None:
    everything = "".join(map(chr, range(0x3000))) + "\ud800\ufff9"
    left = {c for c in printable(everything) if unicodedata.category(c) in ("Cc", "Cs", "Zl", "Zp")}
    assert left == {"\t", "\n"}


def test_other_writing_stays_as_it_is() -> None:
    text = "naïve Grüße, 你好 👩‍💻 العربية\n\tindented"
    assert printable(text) == text


def test_a_line_stays_one_line() -> None:
    assert printable_line("one\ntwo\tthree\x85four\u2028five") == r"one\ntwo three\x85four\u2028five"


def test_json_says_the_same_without_control_characters() -> None:
    original = json.dumps({"reason": "\x1b[31m \x9b \u202e \x7f é"}, ensure_ascii=False)
    safe = printable_json(original)
    assert json.loads(safe) == json.loads(original)
    assert not {"\x1b", "\x9b", "\u202e", "\x7f"} & set(safe)


def test_json_comes_out_on_one_line() -> None:
    assert json.loads(printable_json('{\r\n"a":\n1}')) == {"a": 1}
    assert "\n" not in printable_json('{\r\n"a":\n1}')
