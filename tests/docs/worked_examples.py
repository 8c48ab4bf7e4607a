"""Reads the worked examples of docs/contributing.md and applies them to a copy of the tree.

An example is a section under a heading that begins with "Worked example". A line that holds only a path in backticks,
followed by a fenced block, is a step: a `diff` block changes that file, any other block is a new file. Lines of an `sh`
block that begin with `.venv/bin/` are the commands that must pass afterwards.
"""

from __future__ import annotations

import re
import shutil
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

HEADING = re.compile(r"^#+ Worked example: (.+)$")
ANY_HEADING = re.compile(r"^#+ ")
PATH = re.compile(r"^`([\w./-]+\.\w+)`$")
COMMAND = re.compile(r"^\.venv/bin/(\S.*)$")
REVISION = re.compile(r'^(?:down_)?revision = "(\d{4})"$', re.MULTILINE)
NOT_COPIED = {"var", "node_modules", "docs"}


class BrokenExample(Exception):
    """A step of an example that can't be applied; the message says which one and why."""


@dataclass(frozen=True)
class Step:
    """A change of one file."""

    line: int
    path: str
    kind: str
    text: str

    @property
    def place(self) -> str:
        """Return where the step stands, for messages."""
        return f"docs/contributing.md:{self.line}: {self.path}"


@dataclass
class Example:
    """A worked example with its steps and the commands that must pass afterwards."""

    title: str
    steps: list[Step] = field(default_factory=list)
    commands: list[str] = field(default_factory=list)


def parse(text: str) -> list[Example]:
    """Return the worked examples in order."""
    found: list[Example] = []
    current: Example | None = None
    path = ""
    lines = iter(enumerate(text.splitlines(), start=1))
    for number, line in lines:
        if ANY_HEADING.match(line):
            heading = HEADING.match(line)
            current = Example(heading[1]) if heading else None
            found += [current] if current else []
        elif line.startswith("```"):
            block = list(_block(lines))
            if current is not None:
                _add(current, number, path, line.removeprefix("```"), block)
            path = ""
        elif step := PATH.match(line):
            path = step[1]
        elif line.strip():
            path = ""
    return found


def _block(lines: Iterator[tuple[int, str]]) -> Iterator[str]:
    for _, line in lines:
        if line == "```":
            return
        yield line


def _add(example: Example, number: int, path: str, kind: str, block: list[str]) -> None:
    if path:
        example.steps.append(Step(number, path, kind, "\n".join(block) + "\n"))
    elif kind == "sh":
        example.commands += [found[1] for line in block if (found := COMMAND.match(line))]


def copy_tree(root: Path, target: Path) -> None:
    """Copy the files that the examples and their tests need, with what they are compiled to.

    Hidden files stay behind, and those that a compiler is just writing.
    """

    def left_out(_folder: str, names: list[str]) -> set[str]:
        return {
            name
            for name in names
            if name in NOT_COPIED
            or name.startswith(".")
            or name.endswith(".egg-info")
            or ".pyc." in name
        }

    shutil.copytree(root, target, ignore=left_out)


def renumbered(examples: list[Example], newest: str) -> list[Example]:
    """Return the examples with migrations numbered on from the newest real one, which may be newer than the text."""
    revisions = sorted(
        {found for step in _steps(examples) for found in REVISION.findall(step.text)}
    )
    if not revisions:
        return examples
    shift = int(newest) - int(revisions[0])
    number = re.compile(rf"(?<![\d ])({'|'.join(revisions)})(?!\d)")

    def moved(text: str) -> str:
        return number.sub(lambda found: f"{int(found[0]) + shift:04d}", text)

    return [
        replace(
            example,
            steps=[
                replace(step, path=moved(step.path), text=moved(step.text))
                for step in example.steps
            ],
            commands=[moved(command) for command in example.commands],
        )
        for example in examples
    ]


def _steps(examples: list[Example]) -> Iterator[Step]:
    for example in examples:
        yield from example.steps


def apply(step: Step, root: Path) -> None:
    """Apply one step to the tree under `root`.

    Raises BrokenExample when a new file already exists, or when the lines of a diff are not found exactly once.
    """
    file = root / step.path
    if step.kind != "diff":
        if file.exists():
            raise BrokenExample(f"{step.place} is shown as a new file and already exists.")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(step.text, encoding="utf-8")
        return
    if not file.exists():
        raise BrokenExample(f"{step.place} is changed by the example and doesn’t exist.")
    text = file.read_text(encoding="utf-8")
    for before, after in _hunks(step):
        times = text.count(before)
        if times != 1:
            raise BrokenExample(
                f"{step.place}: these lines stand in the file {times} times, not once; "
                f"bring the example up to date:\n{before}"
            )
        text = text.replace(before, after)
    file.write_text(text, encoding="utf-8")


def _hunks(step: Step) -> Iterator[tuple[str, str]]:
    for hunk in re.split(r"^@@.*\n", step.text, flags=re.MULTILINE):
        before, after = [], []
        for line in hunk.splitlines():
            sign, rest = line[:1] or " ", line[1:] + "\n"
            if sign not in " +-":
                raise BrokenExample(f"{step.place}: a line of a diff begins with {sign!r}: {line}")
            before += [rest] if sign in " -" else []
            after += [rest] if sign in " +" else []
        if not before and not after:
            continue
        if not before:
            raise BrokenExample(f"{step.place}: a diff needs at least one line that is there.")
        yield "".join(before), "".join(after)
