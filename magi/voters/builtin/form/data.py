"""Is data in YAML, TOML, XML or CSV valid. Runs inside the parsing process only (`form/process.py`)."""

import csv
import io
import re
import tomllib
from xml.etree.ElementTree import ParseError

import yaml
from defusedxml.common import DefusedXmlException
from defusedxml.ElementTree import DefusedXMLParser

from magi.voters.builtin.form.flaw import Flaw, excerpt

MAX_DEPTH = 100
"""Of YAML collections; libyaml itself has no limit that is low enough to be safe everywhere."""

_YAML_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def check_yaml(text: str) -> Flaw | None:
    """Reads events only: nothing is constructed, so no tag is obeyed and no alias is expanded."""
    depth = 0
    anchors: set[str] = set()
    try:
        for event in yaml.parse(text, Loader=_YAML_LOADER):
            if isinstance(event, yaml.CollectionStartEvent):
                depth += 1
            elif isinstance(event, yaml.CollectionEndEvent):
                depth -= 1
            if depth > MAX_DEPTH:
                return Flaw(1, 1, f"nested deeper than {MAX_DEPTH}", "flatten it")
            anchor = getattr(event, "anchor", None)
            if isinstance(event, yaml.AliasEvent):
                if anchor not in anchors:
                    mark = event.start_mark
                    line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
                    return Flaw(line, column, f"the alias `*{anchor}` has no anchor", "define it")
            elif anchor:
                anchors.add(anchor)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else 1
        at = excerpt(text, line)
        what = error.problem or "invalid YAML"
        fix = (
            "indent with spaces"
            if "tab character" in what or "\\t" in what
            else "correct the indentation or quote the value"
        )
        return Flaw(line, mark.column + 1 if mark else 1, f"{what}, at `{at}`" if at else what, fix)
    except yaml.YAMLError as error:
        return Flaw(1, 1, str(error).splitlines()[0][:200], "remove the character")
    return None


def yaml_is_structured(text: str) -> bool:
    """Whether the text is a YAML mapping or sequence: any prose is a valid YAML scalar, which says nothing."""
    try:
        events = yaml.parse(text, Loader=_YAML_LOADER)
        return any(isinstance(event, yaml.CollectionStartEvent) for _, event in zip(range(4), events, strict=False))
    except yaml.YAMLError:
        return True


def check_toml(text: str) -> Flaw | None:
    try:
        tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        what = str(error)
        place = re.search(r"\(at line (\d+), column (\d+)\)", what)
        line, column = (int(place[1]), int(place[2])) if place else (max(1, len(text.splitlines())), 1)
        at = excerpt(text, line)
        what = what.split(" (at ")[0]
        return Flaw(line, column, f"{what}, at `{at}`" if at else what, "correct it there")
    except RecursionError:
        return Flaw(1, 1, "nested too deeply for most readers", "flatten it")
    return None


class _Ignore:
    """A target that builds no tree."""

    def close(self) -> None:
        return None


def check_xml(text: str) -> Flaw | None:
    """Entity declarations count as a flaw: a reader that is careful refuses them."""
    parser = DefusedXMLParser(target=_Ignore())
    try:
        parser.feed(text.lstrip())
        parser.close()
    except ParseError as error:
        line, column = error.position
        skipped = text[: len(text) - len(text.lstrip())].count("\n")
        what = re.sub(r": line \d+, column \d+$", "", str(error))
        if what.startswith("unbound prefix"):  # a fragment whose namespace is declared elsewhere
            return Flaw(line + skipped, column + 1, what, "declare the namespace", "doubtful")
        at = excerpt(text, line + skipped)
        return Flaw(line + skipped, column + 1, f"{what}, at `{at}`" if at else what, "correct the markup there")
    except DefusedXmlException as error:
        return Flaw(1, 1, f"it declares entities ({type(error).__name__})", "remove the declarations")
    except ValueError as error:
        return Flaw(1, 1, str(error)[:200], "correct the declaration")
    return None


def check_csv(text: str) -> Flaw | None:
    """Every row has as many fields as the first one."""
    first = text.lstrip().split("\n", 1)[0]
    delimiter = max(",;\t|", key=first.count)
    try:
        rows = csv.reader(io.StringIO(text.strip("\n")), delimiter=delimiter, strict=True, skipinitialspace=True)
        width = 0
        for row in rows:
            if not row or (len(row) == 1 and not row[0].strip()):
                continue
            width = width or len(row)
            if len(row) != width:
                what = f"this row has {len(row)} fields where the first has {width}: `{excerpt(text, rows.line_num)}`"
                return Flaw(rows.line_num, 1, what, "make the rows equally long, quoting fields that hold a comma")
    except csv.Error as error:
        return Flaw(1, 1, str(error), "close the quotes")
    return None
