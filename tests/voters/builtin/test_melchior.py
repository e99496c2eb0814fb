"""Melchior, judged by cases: what parses, what doesn't, and what nobody should hold against an answer."""

from magi.voters.builtin.melchior import judge
from tests.voters.builtin.table import Case, cases, hold


def fenced(language: str, code: str) -> str:
    return f"Here you are:\n\n```{language}\n{code}\n```\n\nIt does what you asked."


DECLARED: list[Case] = [
    ("python", "Write a Python function", fenced("python", "def f(x):\n    return x + 1"), "pass", "python"),
    ("python-no-colon", "Write a function", fenced("python", "def f(x)\n    return x"), "fail", "line 4"),
    ("python-indent", "Write it", fenced("py", "def f(x):\nreturn x"), "fail", "indented block"),
    ("python-2-print", "Write it in Python", fenced("python", 'print "hello"'), "fail", "python 2"),
    ("python-open-bracket", "Write it", fenced("python", "x = [1, 2\ny = 3"), "fail", "never closed"),
    ("python-newer-than-here", "Write it", fenced("python", 'print(f"{"a" + f"{"b"}"}")'), "pass", "python"),
    ("python-type-alias", "Write it", fenced("python", "type Pair = tuple[int, int]"), "pass", "python"),
    ("javascript", "Write it", fenced("js", "const f = (x) => x + 1;\nconsole.log(f(1));"), "pass", "javascript"),
    (
        "javascript-broken",
        "Write it",
        fenced("javascript", "function f( {\n  return 1;\n}"),
        "fail",
        "`(` is never closed",
    ),
    ("javascript-typed", "Write it", fenced("javascript", "let x: number = 5;"), "fail", "parses as typescript"),
    (
        "jsx",
        "Write it",
        fenced("jsx", "const App = () => <div>{items.map(i => <p key={i}>{i}</p>)}</div>;"),
        "pass",
        "",
    ),
    ("typescript", "Write it", fenced("ts", "interface A { b?: string }\nconst x: A = {};"), "pass", "typescript"),
    ("tsx", "Write it", fenced("tsx", "const B: FC<P> = ({ a }) => <b>{a}</b>;"), "pass", "typescript"),
    ("go", "Write it in Go", fenced("go", "func Add(a, b int) int {\n\treturn a + b\n}"), "pass", "go"),
    ("go-broken", "Write it", fenced("go", 'func main() {\n\tfmt.Println("a"\n}'), "fail", "line 5"),
    ("go-variadic", "Write it", fenced("go", "func Sum(n ...int) int { return len(n) }"), "pass", "go"),
    ("rust", "Write it", fenced("rust", 'fn main() {\n    let x = vec![1, 2];\n    println!("{x:?}");\n}'), "pass", ""),
    ("rust-broken", "Write it", fenced("rust", "fn main() {\n    let x = ;\n}"), "fail", "let x = ;"),
    ("java-method-alone", "Write it", fenced("java", "public int add(int a, int b) {\n  return a + b;\n}"), "pass", ""),
    (
        "java-broken",
        "Write it",
        fenced("java", "class A {\n  void f() {\n    int x = 1\n  }\n}"),
        "fail",
        "`;` is missing",
    ),
    ("c", "Write it", fenced("c", '#include <stdio.h>\nint main(void) {\n  printf("x");\n  return 0;\n}'), "pass", ""),
    ("c-macro", "Write it", fenced("c", "MY_EXPORT_API foo bar(void)\n{\n  return 0;\n}"), "abstain", "macro"),
    ("cpp-statements", "Write it", fenced("cpp", "for (auto x : v) {\n  std::cout << x;\n}"), "pass", "c++"),
    ("csharp", "Write it", fenced("csharp", "public string Name { get; set; }"), "pass", "c#"),
    ("php-without-tag", "Write it", fenced("php", "$x = 1;\necho $x;"), "pass", "php"),
    ("php-broken", "Write it", fenced("php", 'echo "a" $x;'), "fail", "php"),
    ("ruby-broken", "Write it", fenced("ruby", "def f\n  if x\n    1\nend"), "fail", "ruby"),
    ("bash", "Write it", fenced("bash", 'for f in *.txt; do\n  mv "$f" "${f%.txt}.md"\ndone'), "pass", "shell"),
    ("bash-broken", "Write it", fenced("bash", "if [ -f x ]; then\n  echo hi"), "fail", "shell"),
    ("css-broken", "Write it", fenced("css", ".a {\n  color: red;\n"), "fail", "never closed"),
    ("html", "Write it", fenced("html", "<ul>\n  <li>a\n  <li>b\n</ul>\n<br>"), "pass", "html"),
    ("html-crossed", "Write it", fenced("html", "<div><b>x</div></b>"), "fail", "`<b>`"),
    ("sql", "Write it", fenced("sql", "SELECT id, count(*) FROM t WHERE a = 'b' GROUP BY id;"), "pass", "sql"),
    ("sql-tsql", "Write it", fenced("sql", "SELECT TOP 5 [name] FROM [dbo].[users];"), "pass", "sql"),
    ("sql-broken", "Write it", fenced("sql", "SELECT a, b\nFORM users WHERE"), "fail", "sql"),
    (
        "sql-procedure",
        "Write it",
        fenced("sql", "CREATE FUNCTION f() RETURNS int AS $$ oops $$"),
        "abstain",
        "procedural",
    ),
    ("yaml-fence", "Write it", fenced("yaml", "a: 1\n\tb: 2"), "fail", "indent with spaces"),
    ("toml-fence", "Write it", fenced("toml", "[a]\nb = "), "fail", "toml"),
    ("json-fence", "Show the body", fenced("json", '{"a": [1, 2}'), "fail", "json"),
    ("tilde-fence", "Write it", "~~~python\ndef f(:\n    pass\n~~~", "fail", "line 2"),
    ("fence-in-a-list", "How?", "1. Do this:\n\n   ```python\n   x = (1\n   ```\n\n2. Done.", "fail", "line 4"),
    ("fence-wins-over-query", "Write a Python script", fenced("javascript", "let x = () => 1;"), "pass", "javascript"),
    ("query-wins-over-guess", "Write a Python function", "```\ndef f(x)\n    return x\n```", "fail", "python"),
    ("two-blocks-one-broken", "?", "```python\nx = 1\n```\nand\n```python\nx = = 2\n```", "fail", "line 6"),
]

DATA: list[Case] = [
    ("json", "Return the user as JSON", '{"name": "Ann", "age": 3}', "pass", "json"),
    ("json-trailing-comma", "Return it as JSON", '{\n  "a": 1,\n  "b": 2,\n}', "fail", "line 4"),
    ("json-trailing-comma-says-so", "Return it as JSON", '{"a": 1,}', "fail", "trailing comma"),
    ("json-single-quotes", "Give me a JSON object", "{'a': 1}", "fail", "double quotes"),
    ("json-python-constant", "Answer in JSON", '{"a": True}', "fail", "write `true`"),
    ("json-comment", "Answer in JSON", '{"a": 1 // one\n}', "fail", "json"),
    ("json-cut-off", "Return a JSON array of users", '[{"a": 1}, {"a": 2', "fail", "json"),
    ("json-twice-the-key", "Return it as JSON", '{"a": 1, "a": 2}', "fail", "twice"),
    ("json-with-lead-in", "Return it as JSON", 'Here is the JSON:\n\n{"a": 1}\n', "pass", "json"),
    ("json-only", "Return only JSON, nothing else", 'Sure! Here it is:\n{"a": 1}', "fail", "line 1"),
    ("json-absent", "List the planets as JSON", "Mercury, Venus, Earth, Mars.", "fail", "json was asked for"),
    ("json-in-a-fence", "List them as JSON", '```json\n["Mercury", "Venus"]\n```', "pass", "json"),
    ("json-as-a-subject", "What is JSON?", "JSON is a text format for data.", "abstain", "no code"),
    ("json-parser-code", "Write a Python script to read JSON", fenced("python", "import json"), "pass", "python"),
    ("json-into-yaml", 'Convert this JSON to YAML: {"a": 1}', "a: 1\n", "pass", "yaml"),
    ("yaml-broken", "Write a YAML file for it", "name: a: b\n", "fail", "yaml"),
    ("yaml-as-prose", "Output valid YAML", "There is nothing to configure here", "fail", "yaml was asked for"),
    ("xml", "Create an XML document for a book", '<?xml version="1.0"?>\n<book><title>A</title></book>', "pass", "xml"),
    ("xml-broken", "Create an XML document for a book", "<book><title>A</book>", "fail", "mismatched tag"),
    ("xml-bomb", "Answer in XML", '<!DOCTYPE a [<!ENTITY b "c">]>\n<a>&b;</a>', "fail", "entities"),
    ("toml", "Write a TOML file", '[a]\nb = "c"\n', "pass", "toml"),
    ("csv", "Generate a CSV of users", "id,name\n1,Ann\n2,Bob\n", "pass", "csv"),
    ("csv-short-row", "Generate a CSV of users", "id,name\n1,Ann\n2\n3,Cid,x\n", "fail", "csv"),
    ("csv-quoted-comma", "Generate a CSV of users", 'id,name\n1,"Ann, B"\n', "pass", "csv"),
]

PLAIN: list[Case] = [
    (
        "the-seed",
        "Please generate some code for me",
        "function helloWorld() { console.log('Hello, World!'); }",
        "pass",
        "",
    ),
    ("python-unfenced", "Write a Python function", "def f(x)\n    return x\n", "fail", "expected ':'"),
    ("python-unfenced-fine", "Write a Python function", "def f(x):\n    return x\n", "pass", "python"),
    ("lead-in", "Write it in Python", "Here you go:\n\ndef f(x):\n    return x +\n\nHope it helps.", "fail", "python"),
    ("go-unfenced-guess", "Write it", "package main\n\nfunc main() {\n\tx := 1\n", "fail", "never closed"),
    ("html-unfenced", "Generate HTML code", "<!DOCTYPE html>\n<html><body><p>Hi</p></body></html>", "pass", "html"),
]

NOT_HELD_AGAINST_IT: list[Case] = [
    ("prose", "What is the capital of France?", "The capital of France is Paris.", "abstain", "no code"),
    ("empty", "Write it", "   \n", "abstain", "empty"),
    ("text-fence", "Show the output", fenced("text", "def f(x"), "abstain", "no code"),
    ("output-fence", "Show it", fenced("", "Total: 3 (of 4\nName    Value"), "abstain", "no code"),
    ("diff", "Fix it", fenced("diff", "--- a/x.py\n+++ b/x.py\n@@ -1 +1 @@\n-x = (\n+x = ()"), "abstain", "no code"),
    ("diff-in-a-python-fence", "Fix it", fenced("python", "@@ -1,2 +1,2 @@\n-x = (\n+x = ()"), "abstain", "no code"),
    ("directory-tree", "Layout?", fenced("bash", "src/\n├── a.py\n└── b.py"), "abstain", "no code"),
    (
        "repl",
        "How?",
        fenced("python", ">>> x = [1, 2]\n>>> x\n[1, 2]\n>>> for i in x:\n...     print(i)\n"),
        "pass",
        "",
    ),
    ("shell-prompt", "How?", fenced("console", "$ ls -l (x\ntotal 0"), "fail", "shell"),
    ("shell-transcript", "How?", fenced("bash", "$ git status\nOn branch main (up to date\n$ ls"), "pass", "shell"),
    ("shell-placeholder", "How?", fenced("bash", "pip install <package-name>"), "pass", "shell"),
    ("ellipsis-line", "Write it", fenced("javascript", "function f() {\n  ...\n}"), "pass", "javascript"),
    ("ellipsis-inside", "Write it", fenced("java", "class A {\n  void f() { ... }\n}"), "pass", "java"),
    ("rest-comment", "Write it", fenced("js", "function f() {\n  // ... rest of the code\n}"), "pass", "javascript"),
    ("comment-as-body", "Write it", fenced("python", "def f():\n    # ... your code here\n\nf()"), "pass", "python"),
    (
        "signature-only",
        "Set a task",
        fenced("python", "def average(d: dict[str, float]) -> float:"),
        "abstain",
        "signature",
    ),
    ("jinja", "Write it", fenced("yaml", "name: {{ project }}\nkind: x"), "pass", "yaml"),
    ("json-with-comments", "Explain the config", fenced("json", '{\n  "a": 1 // the first\n}'), "abstain", "comment"),
    ("json-with-ellipsis", "What comes back?", fenced("json", '{\n  "a": 1,\n  ...\n}'), "abstain", "json"),
    ("notebook-magic", "How?", fenced("python", "%matplotlib inline\n!pip install x\nimport x"), "pass", "python"),
    ("mermaid", "Draw it", fenced("mermaid", "graph TD; A-->B"), "abstain", "no code"),
    ("unknown-language", "Write it", fenced("brainf", "+[->+"), "abstain", "no code"),
    ("pseudo-code", "Give an algorithm", "Start\nfor i from 1 to n\n  print(i)\nend for\nStop", "abstain", "no code"),
    ("inline-code", "How do I list files?", "Use `ls -l (` and look.", "abstain", "no code"),
    ("math", "Solve it", "x = (y + 2\nso y = 3", "abstain", ""),
    (
        "prose-between-code",
        "How?",
        "Do this:\nconst a = 1;\nThen later do the following thing:\nconst b = (a;",
        "abstain",
        "",
    ),
    ("yaml-like-prose", "Tell me", "Name: Ann\nRole: cook: the best", "abstain", "no code"),
]


@cases(DECLARED)
def test_a_declared_language_is_held_to(query, answer, vote, fragment):
    hold(judge, query, answer, vote, fragment)


@cases(DATA)
def test_data_that_was_asked_for_is_valid(query, answer, vote, fragment):
    hold(judge, query, answer, vote, fragment)


@cases(PLAIN)
def test_code_without_a_fence_is_found(query, answer, vote, fragment):
    hold(judge, query, answer, vote, fragment)


@cases(NOT_HELD_AGAINST_IT)
def test_what_no_parser_should_read_is_not_held_against_an_answer(query, answer, vote, fragment):
    hold(judge, query, answer, vote, fragment)
