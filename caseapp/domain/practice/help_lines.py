"""Help lines shipped for each country; a practice confirms them and adds local ones."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

import yaml

from caseapp.core.i18n import LazyText
from caseapp.core.settings import ROOT

if TYPE_CHECKING:
    from datetime import date

KINDS = (
    *("emergency", "crisis", "dv", "substance", "ed", "behaviour"),
    *("safeguarding", "children"),
)
"""Whom a line is for: `safeguarding` for adults who worry about a child, `children` for children themselves."""
FILE = ROOT / "handouts" / "help-lines.yaml"
STALE_AFTER_DAYS = 90


@dataclass(frozen=True)
class HelpLine:
    """A help line and what is known about it."""

    kind: str
    name: str
    phone: str | None
    text_to: str | None
    text_keyword: str | None
    web: str | None
    hours: str
    hint: str
    region: str | None
    audience: str
    languages: tuple[str, ...]
    """The languages in which a source confirms that it answers, the usual one first; it may answer in others."""
    last_checked: date | None
    source: str

    def speaks(self, language: str) -> bool:
        """Return whether the line is known to answer in a language; a local line names none and is assumed to."""
        return not self.languages or language in self.languages


@dataclass(frozen=True)
class Country:
    """The help lines of a country, the emergency number first."""

    code: str
    name: str
    lines: tuple[HelpLine, ...]

    @property
    def regions(self) -> tuple[str, ...]:
        """The regions of the country that have their own lines."""
        return tuple(sorted({line.region for line in self.lines if line.region}))


def _line(kind: str, raw: dict[str, Any]) -> HelpLine:
    text = raw.get("text") or {}
    return HelpLine(
        kind=raw.get("kind", kind),
        name=raw["name"],
        phone=raw.get("phone"),
        text_to=text.get("to"),
        text_keyword=text.get("keyword"),
        web=raw.get("web"),
        hours=_translated(raw.get("hours")) or "",
        hint=_translated(raw.get("hint")) or "",
        region=_translated(raw.get("region")),
        audience=raw.get("audience", "anyone"),
        languages=tuple(raw.get("languages", ())),
        last_checked=raw.get("last_checked"),
        source=(raw.get("source") or {}).get("title", ""),
    )


def _translated(text: str | None) -> str | None:
    return LazyText(text) if text else None


@cache
def countries() -> dict[str, Country]:
    """Read the shipped help lines, by country code."""
    return {
        raw["country"]: Country(
            raw["country"],
            raw["name"],
            (_line("emergency", raw["emergency"]), *(_line("", line) for line in raw["lines"])),
        )
        for raw in yaml.safe_load(FILE.read_text(encoding="utf-8"))
    }
