"""Is HTML well formed: tags closed in the order they were opened. HTML 5 lets some end tags be left out; those may."""

from html.parser import HTMLParser

from magi.voters.builtin.form.flaw import Flaw
from magi.voters.builtin.text import words

VOID = words(
    """
    area base br col embed hr img input link meta param source track wbr
    """
)
OPTIONAL_END = words(
    """
    html head body li dt dd p rb rt rtc rp optgroup option colgroup thead tbody tfoot tr td th caption
    """
)
MAX_DEPTH = 512


def check(text: str) -> Flaw | None:
    """The first tag that is closed but not open, or left open; None when the tags match."""
    tags = _Tags()
    tags.feed(text)
    tags.close()
    return tags.verdict()


class _Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[tuple[str, int, int]] = []
        self.flaw: Flaw | None = None

    def verdict(self) -> Flaw | None:
        if self.flaw is not None:
            return self.flaw
        if self.rawdata.strip() and self.cdata_elem is None:
            line, column = self.getpos()
            return Flaw(line, column + 1, "a tag or comment breaks off here", "complete it")
        left = next((entry for entry in reversed(self.open) if entry[0] not in OPTIONAL_END), None)
        return left and Flaw(left[1], left[2], f"`<{left[0]}>` is never closed", f"add `</{left[0]}>`")

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in VOID or self.flaw is not None:
            return
        line, column = self.getpos()
        if len(self.open) >= MAX_DEPTH:
            self.flaw = Flaw(line, column + 1, f"tags are nested deeper than {MAX_DEPTH}", severity="doubtful")
            return
        self.open.append((tag, line, column + 1))

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        pass

    def handle_endtag(self, tag: str) -> None:
        if self.flaw is not None or tag in VOID:
            return
        line, column = self.getpos()
        depth = next((i for i in range(len(self.open) - 1, -1, -1) if self.open[i][0] == tag), None)
        if depth is None:
            if tag != "p":  # a stray </p> is an empty paragraph, by the standard
                self.flaw = Flaw(line, column + 1, f"`</{tag}>` closes a tag that is not open", "remove it")
            return
        crossed = next((entry for entry in self.open[depth + 1 :] if entry[0] not in OPTIONAL_END), None)
        if crossed is not None:
            name, at = crossed[0], crossed[1]
            self.flaw = Flaw(
                line, column + 1, f"`</{tag}>` comes before `<{name}>` of line {at} is closed", f"add `</{name}>` first"
            )
            return
        del self.open[depth:]
