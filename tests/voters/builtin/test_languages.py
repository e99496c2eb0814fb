"""Guessing a language from its marks."""

import pytest

from magi.voters.builtin.languages import guess


@pytest.mark.parametrize(
    ("code", "language"),
    [
        ("def f(x):\n    return x", "python"),
        ("const f = (x) => x;\nconsole.log(f(1));", "javascript"),
        ("interface A { b: string }\nconst x: A = {b: ''};", "typescript"),
        ("package main\n\nfunc main() {\n}", "go"),
        ('fn main() {\n    println!("x");\n}', "rust"),
        ("public class A {\n  public static void main(String[] a) {}\n}", "java"),
        ("#include <stdio.h>\nint main() {}", "c"),
        ("#include <iostream>\nint main() { std::cout << 1; }", "cpp"),
        ("<?php echo 1;", "php"),
        ("#!/bin/bash\necho $HOME", "bash"),
        ("<!DOCTYPE html><html></html>", "html"),
        ("SELECT a FROM b", "sql"),
        ("Dear Ann,\n\nhow are you?", None),
        ("Total: 3\nName  Value", None),
        ("", None),
    ],
)
def test_marks_tell_the_language(code: str, language: str | None):
    assert guess(code) == language
