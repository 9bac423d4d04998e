"""What the documents name is there: files, links, commands with their options, Python that parses."""

from __future__ import annotations

import ast
import importlib.util
import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import typer

from mien.cli.main import app
from mien.training.recipes import find

ROOT = Path(__file__).parent.parent
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
PROSE = re.compile(r"```.*?```", re.DOTALL)
FILE = re.compile(r"`((?:[\w.-]+/)+[\w.-]+\.(?:py|md|yaml|json|png|npz))`")

pages = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)


def commands(page: Path) -> list[list[str]]:
    """Every command of a page, in words: lines of its fenced blocks, and what stands in backticks."""
    text = page.read_text(encoding="utf-8")
    fenced = [
        block
        for language, block in re.findall(r"```(\w*)\n(.*?)```", text, re.DOTALL)
        if language != "python"
    ]
    lines = [line for block in fenced for line in re.sub(r"\\\n", " ", block).splitlines()]
    lines += [quoted.replace("\n", " ") for quoted in re.findall(r"`([^`]+)`", PROSE.sub("", text))]
    found = []
    for line in lines:
        try:
            words = shlex.split(line, comments=True)
        except ValueError:
            continue  # prose, or a picture of a folder
        while words and re.fullmatch(r"[A-Z_]+=\S*", words[0]):
            words = words[1:]
        if words and re.fullmatch(r"examples/\w+\.py", words[0]):
            words = ["python", *words]
        if len(words) > 1 and Path(words[0]).name in ("mien", "python", "make"):
            found.append(words)
    return found


def find_verb(words: list[str]) -> tuple[Any, list[str]]:
    """The click command that words after `mien` name, and what follows its name."""
    command: Any = typer.main.get_command(app)
    while hasattr(command, "commands") and words and not words[0].startswith("-"):
        assert words[0] in command.commands, f"there is no verb {words[0]}"
        command, words = command.commands[words[0]], words[1:]
    return command, words


def test_the_architecture_page_names_every_module_and_no_other() -> None:
    plan = (
        (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8").split("## Modules")[1].split("```")[1]
    )
    named = set(re.findall(r"[\w]+\.py", plan)) - {"__init__.py"}
    modules = [p for place in (ROOT / "src" / "mien", ROOT / "factory") for p in place.rglob("*.py")]
    there = {p.name for p in modules} - {"__init__.py"}
    assert named == there, f"not there: {sorted(named - there)}; not on the page: {sorted(there - named)}"
    assert {p.parent.name for p in modules if p.name == "__init__.py"} <= set(re.findall(r"(\w+)/", plan))


@pages
def test_files_and_links_are_there(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for link in re.findall(r"\]\((?!https?:)([^)#]+)", text):
        assert (page.parent / link).exists(), link
    for name in FILE.findall(PROSE.sub("", text)):
        places = (ROOT, page.parent, ROOT / "src" / "mien", ROOT / "src")
        assert any((place / name).exists() for place in places), name


@pages
def test_commands_are_as_printed(page: Path) -> None:
    for words in commands(page):
        program, rest = Path(words[0]).name, words[1:]
        given = [word.partition("=")[0] for word in rest if re.match(r"--?[a-z]", word)]
        if program == "mien":
            if "|" in " ".join(rest) or "…" in rest or "..." in rest:
                continue  # a list of verbs
            command, _ = find_verb(rest)
            known = {
                option
                for parameter in command.params
                for option in (*parameter.opts, *parameter.secondary_opts)
            }
            assert set(given) <= known | {"--help", "-h"}, words
            if rest[0] == "train" and rest[1:] and rest[1] != "RECIPE" and not rest[1].startswith("-"):
                find(rest[1])
        elif program == "make":
            targets = re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
            assert rest[0] in targets, words
        elif program == "python" and (rest[0] == "-m" or rest[0].endswith(".py")):
            place = ROOT / rest[0]
            if rest[0] == "-m":
                spec = importlib.util.find_spec(rest[1])
                assert spec is not None and spec.origin is not None, words
                place = Path(spec.origin)
            if not place.is_relative_to(ROOT) or rest[1:2] == ["factory.train"]:
                continue  # not ours; or `mien train`
            script = place.read_text(encoding="utf-8")
            names = {
                option: f'"{option[2:].replace("-", "_")}"'
                for option in given
                if option not in ("-m", "--help")
            }  # of options made in a loop
            assert all(f'"{option}"' in script or name in script for option, name in names.items()), words


@pages
def test_snippets_are_python(page: Path) -> None:
    for snippet in re.findall(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL):
        ast.parse(snippet)


def test_the_pages_hold_commands() -> None:
    assert sum(len(commands(page)) for page in PAGES) > 80
