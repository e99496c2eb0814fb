"""Taking answers apart."""

from magi.voters.builtin.fences import MAX_BLOCKS, split


def test_blocks_know_their_language_and_line():
    document = split("a\n\n```Python title=x\nx = 1\n```\nb")
    (block,) = document.blocks
    assert (block.info, block.code, block.line, block.closed) == ("python", "x = 1\n", 4, True)
    assert document.prose == "a\n\n\n\n\nb"


def test_a_block_in_a_list_is_found_without_its_indentation():
    (block,) = split("1. Do:\n\n   ```js\n   f()\n   ```\n").blocks
    assert block.code == "f()\n"


def test_a_longer_fence_holds_a_shorter_one():
    (block,) = split("````md\n```py\nx\n```\n````").blocks
    assert block.code == "```py\nx\n```\n"
    assert block.closed


def test_an_open_fence_runs_to_the_end():
    (block,) = split("```py\nx = 1\n").blocks
    assert not block.closed
    assert not split("```").blocks[0].closed


def test_text_without_a_fence_is_all_prose():
    assert split("a `b` c").prose == "a `b` c"
    assert split("a\r\nb").prose == "a\nb"


def test_blocks_beyond_the_limit_stay_prose():
    assert len(split("```\nx\n```\n" * (MAX_BLOCKS + 5)).blocks) == MAX_BLOCKS
