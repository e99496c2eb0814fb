"""Text of others on a terminal: what was submitted, or what a voter says, must not steer the terminal that shows it."""

import re

# C0 but tab and newline, DEL, C1 (a terminal takes U+009B for the beginning of a control sequence), what turns or hides
# the direction of text (an answer could show other words than it holds), line separators, and lone surrogates, which
# can't be encoded.
_UNSAFE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufff9-\ufffb\ud800-\udfff]"
)


def printable(text: str) -> str:
    r"""`text` with everything that could steer a terminal written as an escape, such as ``\x1b``. Lines stay lines."""
    return _UNSAFE.sub(lambda found: _escape(found[0]), text)


def printable_line(text: str) -> str:
    r"""`printable`, on one line: a newline becomes ``\n``, a tab a blank."""
    return printable(text).replace("\n", "\\n").replace("\t", " ")


def printable_json(text: str) -> str:
    r"""JSON that says the same on one line and steers no terminal: what is unsafe in a string becomes ``\u009b``."""
    # Raw line ends are only allowed between the values.
    return _UNSAFE.sub(lambda found: f"\\u{ord(found[0]):04x}", text.replace("\r", " ").replace("\n", " "))


def _escape(character: str) -> str:
    code = ord(character)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"
