"""The seven stages, read once from the library. Their criteria are computed or attested by a coach."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

import yaml

from caseapp.core.i18n import LazyText
from caseapp.core.settings import ROOT

FILE = ROOT / "handouts" / "stages.yaml"


@dataclass(frozen=True)
class Criterion:
    """A condition of a stage. `check` names its computation and is empty when a coach attests it."""

    id: str
    text: str
    guidance: str
    check: str
    claims: tuple[str, ...]


@dataclass(frozen=True)
class Stage:
    """A stage with its titles for staff and for clients."""

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
    """Return the stages in order."""
    return tuple(
        Stage(
            id=raw["id"],
            number=number,
            title=raw["title"],
            client_title=LazyText(raw["client_title"]),
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
    """Return the stages by id."""
    return {stage.id: stage for stage in stages()}


@cache
def attested_criteria() -> dict[str, str]:
    """Return the text of each criterion that a coach attests by its id, in the order of the stages."""
    criteria = (criterion for stage in stages() for criterion in (*stage.entry, *stage.exit))
    return {criterion.id: criterion.text for criterion in criteria if not criterion.check}


def next_stage(stage: Stage) -> Stage | None:
    """Return the next stage, or None after the last."""
    after = [found for found in stages() if found.number == stage.number + 1]
    return after[0] if after else None


@cache
def first_stage_with_contact() -> Stage:
    """Return the first stage that can't be entered while contact with the spouse is barred; later ones can't either."""
    return next(
        stage for stage in stages() if any(one.check == "no_contact_block" for one in stage.entry)
    )


def criteria_between(current: Stage, to: Stage) -> tuple[Criterion, ...]:
    """List the criteria of a move forward: the exit of one stage and the entry of the next, each check once."""
    found: dict[str, Criterion] = {}
    for criterion in (*current.exit, *to.entry):
        found.setdefault(criterion.check or criterion.id, criterion)
    return tuple(found.values())
