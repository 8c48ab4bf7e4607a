"""Provenance of the library: source articles, the claims taken from them, and resolved contradictions."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import yaml

from caseapp.domain.handouts.library import FOLDER


@dataclass(frozen=True)
class Claim:
    """A statement of a source article in our own words.

    `use` is K (kept), R (kept only as changed by `turn`) or X (left out on purpose; `turn` says why). `elsewhere` is
    why a claim that is kept stands in no handout.
    """

    id: str
    text: str
    section: str
    type: str
    use: str
    turn: str | None
    elsewhere: str | None


@cache
def claims() -> dict[str, Claim]:
    """Read the claims, by id."""
    raw = yaml.safe_load((FOLDER / "claims.yaml").read_text(encoding="utf-8"))
    unset = {"turn": None, "elsewhere": None}
    return {claim["id"]: Claim(**unset | claim) for claim in raw}


@dataclass(frozen=True)
class Source:
    """An article that the library draws on; `prefix` begins the ids of its claims."""

    id: str
    prefix: str
    title: str
    author: str | None
    year: int | None
    viewpoint: str
    taken: str
    left_out: str


@cache
def sources() -> dict[str, Source]:
    """Read the sources, by id."""
    raw = yaml.safe_load((FOLDER / "sources.yaml").read_text(encoding="utf-8"))
    return {source["id"]: Source(**source) for source in raw}


@dataclass(frozen=True)
class Contradiction:
    """A contradiction between articles, with what the library says instead."""

    id: str
    clash: str
    claims: tuple[str, ...]
    says: str


@cache
def contradictions() -> tuple[Contradiction, ...]:
    """Read how contradictions between the articles were resolved."""
    raw = yaml.safe_load((FOLDER / "contradictions.yaml").read_text(encoding="utf-8"))
    return tuple(Contradiction(**{**item, "claims": tuple(item["claims"])}) for item in raw)
