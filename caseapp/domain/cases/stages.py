"""The seven stages, read once from the library; their criteria are computed by code or attested by a coach."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

import yaml

from caseapp.core.settings import ROOT

FILE = ROOT / "handouts" / "stages.yaml"


@dataclass(frozen=True)
class Criterion:
    """Be one condition of a stage: `check` names the computation, or is empty where a coach attests."""

    id: str
    text: str
    how: str
    check: str
    claims: tuple[str, ...]


@dataclass(frozen=True)
class Stage:
    """Be one stage, in the words of staff and of clients."""

    id: str
    number: int
    title: str
    client_title: str
    purpose: str
    weeks: tuple[int, int]
    entry: tuple[Criterion, ...]
    exit: tuple[Criterion, ...]
    not_here: tuple[str, ...]


def _criterion(raw: dict[str, Any]) -> Criterion:
    return Criterion(
        raw["id"], raw["text"], raw["how"], raw.get("check", ""), tuple(raw.get("claims", ()))
    )


@cache
def stages() -> tuple[Stage, ...]:
    """Give the stages in order."""
    return tuple(
        Stage(
            id=raw["id"],
            number=number,
            title=raw["title"],
            client_title=raw["client_title"],
            purpose=raw["purpose"],
            weeks=(raw["weeks"][0], raw["weeks"][1]),
            entry=tuple(map(_criterion, raw["entry"])),
            exit=tuple(map(_criterion, raw["exit"])),
            not_here=tuple(raw["not_here"]),
        )
        for number, raw in enumerate(yaml.safe_load(FILE.read_text(encoding="utf-8")), start=1)
    )


@cache
def stage_by_id() -> dict[str, Stage]:
    """Give the stages by their id."""
    return {stage.id: stage for stage in stages()}


@cache
def attested_criteria() -> dict[str, str]:
    """Give the words of each criterion that a coach attests, by its id, in the order of the stages."""
    every = (criterion for stage in stages() for criterion in (*stage.entry, *stage.exit))
    return {criterion.id: criterion.text for criterion in every if not criterion.check}


def following(stage: Stage) -> Stage | None:
    """Give the next stage forward, or None after the last."""
    after = [found for found in stages() if found.number == stage.number + 1]
    return after[0] if after else None


def criteria_between(now: Stage, to: Stage) -> tuple[Criterion, ...]:
    """List what a move forward asks for: the exit of one stage and the entry of the next, each check once."""
    found: dict[str, Criterion] = {}
    for criterion in (*now.exit, *to.entry):
        found.setdefault(criterion.check or criterion.id, criterion)
    return tuple(found.values())
