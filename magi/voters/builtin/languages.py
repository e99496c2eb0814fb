"""Names of programming languages and data formats, as people write them in queries and fences."""

import re

ALIASES: dict[str, str] = {
    **dict.fromkeys(("python", "py", "python3", "py3", "pycon", "ipython"), "python"),
    **dict.fromkeys(("javascript", "js", "jsx", "node", "nodejs", "node.js", "mjs", "ecmascript"), "javascript"),
    **dict.fromkeys(("typescript", "ts", "tsx"), "typescript"),
    "java": "java",
    "c": "c",
    **dict.fromkeys(("cpp", "c++", "cxx", "cc", "hpp"), "cpp"),
    **dict.fromkeys(("csharp", "c#", "cs"), "csharp"),
    **dict.fromkeys(("go", "golang"), "go"),
    **dict.fromkeys(("rust", "rs"), "rust"),
    "php": "php",
    **dict.fromkeys(("ruby", "rb"), "ruby"),
    **dict.fromkeys(("bash", "sh", "shell", "zsh"), "bash"),
    **dict.fromkeys(("console", "shell-session", "terminal", "sh-session"), "bash"),
    "css": "css",
    **dict.fromkeys(("html", "html5", "htm"), "html"),
    **dict.fromkeys(("sql", "mysql", "postgresql", "postgres", "sqlite"), "sql"),
    "json": "json",
    **dict.fromkeys(("yaml", "yml"), "yaml"),
    "toml": "toml",
    **dict.fromkeys(("xml", "svg", "xsd", "rss"), "xml"),
    "csv": "csv",
}
"""From what a fence or a query says to the name used here. Other info strings (text, diff, …) are not checked."""

TITLES = {
    "python": "Python",
    "javascript": "JavaScript",
    "typescript": "TypeScript",
    "java": "Java",
    "c": "C",
    "cpp": "C++",
    "csharp": "C#",
    "go": "Go",
    "rust": "Rust",
    "php": "PHP",
    "ruby": "Ruby",
    "bash": "shell",
    "css": "CSS",
    "html": "HTML",
    "sql": "SQL",
    "json": "JSON",
    "yaml": "YAML",
    "toml": "TOML",
    "xml": "XML",
    "csv": "CSV",
}

# Marks that hardly occur outside one language, each worth a point, those that occur nowhere else two.
_MARKS: dict[str, tuple[tuple[str, int], ...]] = {
    "python": (
        (r"(?m)^[ \t]*(?:async )?def \w+\(.*\)(?: ?->.{0,80})?:", 2),
        (r"(?m)^[ \t]*class \w+(?:\([\w., =]*\))?:[ \t]*$", 2),
        (r"(?m)^[ \t]*(?:from [\w.]+ )?import [\w.]+(?: as \w+)?[ \t]*$", 1),
        (r"(?m)^[ \t]*(?:if|elif|for|while|with|try|except|else)\b[^{};]{0,200}:[ \t]*$", 1),
        (r"(?m)^[ \t]*print\(", 1),
        (r"\bself\.\w", 1),
        (r"__\w+__", 1),
    ),
    "javascript": (
        (r"\b(?:const|let)\s+[\w{}\[\], ]{1,80}=", 1),
        (r"\bconsole\.(?:log|error|warn)\(", 2),
        (r"=>\s*[{(\w]", 1),
        (r"\bfunction\s*\w*\s*\([^)]{0,200}\)\s*\{", 1),
        (r"\b(?:document|window|module)\.\w", 1),
        (r"\brequire\(['\"]", 1),
        (r"===|!==", 1),
    ),
    "typescript": (
        (r"(?m)^[ \t]*(?:export )?(?:interface|type) \w+(?:<\w+>)? ?[={]", 2),
        (r"[\w)]\??: (?:string|number|boolean|void|any|unknown|Promise<)", 1),
    ),
    "java": (
        (r"\bpublic\s+(?:static\s+)?(?:final\s+)?(?:class|interface|void|int|String|boolean)\b", 1),
        (r"\bSystem\.(?:out|err)\.print", 2),
        (r"\bpublic static void main\s*\(\s*String", 2),
        (r"(?m)^[ \t]*import java[x.]", 2),
    ),
    "c": (
        (r"#include\s*<(?:stdio|stdlib|string|math|ctype|stdint|unistd)\.h>", 2),
        (r"\bprintf\s*\(\"", 1),
        (r"\bint main\s*\(", 1),
    ),
    "cpp": (
        (r"#include\s*<(?:iostream|vector|string|map|algorithm|memory)>", 2),
        (r"\bstd::\w", 2),
        (r"\bcout\s*<<", 2),
        (r"\busing namespace std\b", 2),
    ),
    "csharp": (
        (r"(?m)^[ \t]*using System\b", 2),
        (r"\bConsole\.(?:WriteLine|ReadLine)\(", 2),
        (r"\bnamespace \w[\w.]*\s*[{;]", 1),
    ),
    "go": (
        (r"(?m)^package \w+[ \t]*$", 2),
        (r"(?m)^func (?:\(\w+ \*?\w+\) )?\w+\(.*\{[ \t]*$", 2),
        (r"\bfmt\.\w+\(", 1),
        (r"\w\s*:=\s*\w", 1),
    ),
    "rust": (
        (r"\bfn \w+(?:<[^>]{0,60}>)?\(.*\)(?: -> [^{]{1,60})?\s*\{", 2),
        (r"\blet mut \w", 2),
        (r"\bprintln!\(", 2),
        (r"(?m)^[ \t]*(?:use std::|impl\b|pub fn\b|#\[derive)", 2),
    ),
    "php": ((r"<\?php", 3), (r"(?m)^[ \t]*\$\w+\s*=[^=]", 1), (r"\becho\s+['\"$]", 1)),
    "ruby": (
        (r"(?m)^[ \t]*def \w+[?!]?(?:\([^)]{0,120}\))?[ \t]*$", 1),
        (r"(?m)^[ \t]*end[ \t]*$", 1),
        (r"\bputs\s+['\"\w]", 1),
        (r"\bdo \|\w+", 2),
    ),
    "bash": ((r"\A#!.{0,40}\b(?:ba|z)?sh\b", 3), (r"(?m)^[ \t]*(?:fi|done|esac)[ \t]*$", 2), (r"\$\{?\w+\}?", 1)),
    "sql": (
        (r"(?im)^[ \t]*select\b[^;]{1,2000}?\bfrom\b", 2),
        (r"(?im)^[ \t]*(?:create (?:table|view|index)|insert into|update \w+ set|delete from|alter table)\b", 2),
    ),
    "html": (
        (r"(?i)<!doctype html", 3),
        (r"(?i)<(?:html|head|body)\b[^>]{0,200}>", 2),
        (r"(?i)</(?:div|p|ul|table|form|h1|a|span|button)>", 1),
        (r"(?i)<(?:div|p|ul|table|form|h1|span|button)\b[^>]{0,200}>", 1),
    ),
    "css": (
        (r"(?m)^[.#]?[\w-]+(?:[ ,>:.#][\w .#:>,-]{0,80})?\s*\{[ \t]*$", 1),
        (r"(?m)^[ \t]*[\w-]+:\s[^;{}]{1,80};[ \t]*$", 1),
    ),
}
_COMPILED = {
    language: tuple((re.compile(pattern), points) for pattern, points in marks) for language, marks in _MARKS.items()
}
_RELATED = {"typescript": "javascript", "cpp": "c"}
_SAMPLE = 8_192


def guess(code: str) -> str | None:
    """The language of a piece of code, or None when its marks don't tell. Reads the first 8 KiB."""
    sample = code[:_SAMPLE]
    scores = {
        language: sum(points for pattern, points in marks if pattern.search(sample))
        for language, marks in _COMPILED.items()
    }
    for extended, base in _RELATED.items():  # whatever marks the base marks the extended language too
        if scores[extended]:
            scores[extended] += scores[base]
    ranked = sorted(scores.items(), key=lambda item: item[1], reverse=True)
    (best, points), (_, next_points) = ranked[0], ranked[1]
    return best if points >= 2 and points > next_points else None
