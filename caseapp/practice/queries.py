"""Asked: the practice, what stands at the head of its paper, and the numbers on its pages and sheets today."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import TYPE_CHECKING

import sqlalchemy as sa

from caseapp.core import clock, links
from caseapp.core.database import db
from caseapp.practice.helplines import STALE_AFTER_DAYS, HelpLine, countries
from caseapp.practice.models import LocalLine, Practice, PracticeLogo

if TYPE_CHECKING:
    from collections.abc import Sequence


def the_practice() -> Practice:
    """Give the one practice; `caseapp init` has made it."""
    return db.session.scalars(sa.select(Practice)).one()


@dataclass(frozen=True)
class Logo:
    """Hold the practice's logo, a small PNG, and what is said in its place."""

    picture: bytes
    alternative: str


@dataclass(frozen=True)
class Letterhead:
    """Hold what the practice puts on its paper; `portal` is the address for a QR code, empty when it wants none."""

    name: str
    tagline: str = ""
    contact: str = ""
    paper: str = "A4"
    logo: Logo | None = None
    portal: str = ""

    def without_code(self) -> Letterhead:
        """Give the same without a QR code."""
        return replace(self, portal="")

    def in_words(self) -> Letterhead:
        """Give the same without logo and QR code."""
        return replace(self, logo=None, portal="")


def the_logo() -> Logo | None:
    """Give the practice's logo, if it has one."""
    row = db.session.execute(sa.select(PracticeLogo.picture, PracticeLogo.alternative)).first()
    return Logo(*row) if row else None


def letterhead(practice: Practice) -> Letterhead:
    """Gather what stands on the practice's paper."""
    return Letterhead(
        practice.name,
        practice.tagline,
        practice.contact,
        practice.paper,
        the_logo(),
        links.portal() if practice.paper_code else "",
    )


def today() -> date:
    """Tell the date in the practice's zone."""
    return clock.today(the_practice().zone)


def local_lines() -> Sequence[LocalLine]:
    """List the lines that the practice added."""
    return db.session.scalars(sa.select(LocalLine).order_by(LocalLine.kind, LocalLine.name)).all()


@dataclass(frozen=True)
class Numbers:
    """Hold the numbers to show, by kind, and whether the practice stands behind them."""

    lines: tuple[HelpLine, ...]
    confirmed_on: date | None
    stale: bool

    def of(self, *kinds: str) -> list[HelpLine]:
        """Give the lines of some kinds, in that order."""
        return [line for kind in kinds for line in self.lines if line.kind == kind]

    @property
    def emergency(self) -> HelpLine:
        """Give the emergency number."""
        return self.of("emergency")[0]


def numbers(practice: Practice, language: str = "en") -> Numbers:
    """Gather the country's lines and the practice's own; regional lines only where they apply.

    Lines in the reader's language come first within their kind. Numbers that the practice has not confirmed for
    90 days count as stale.
    """
    shipped = [
        line
        for line in countries()[practice.country].lines
        if line.region is None or practice.region is None or line.region == practice.region
    ]
    own = [
        HelpLine(
            kind=line.kind,
            name=line.name,
            phone=line.phone,
            text_to=None,
            text_keyword=None,
            web=None,
            hours=line.hours,
            hint="",
            region=None,
            audience="anyone",
            languages=(),
            last_checked=None,
            source="",
        )
        for line in local_lines()
    ]
    shipped.sort(key=lambda line: language not in line.languages)
    confirmed = practice.numbers_confirmed_on
    return Numbers((*own, *shipped), confirmed, stale=numbers_stale(practice))


def numbers_stale(practice: Practice) -> bool:
    """Tell whether nobody has confirmed the practice's numbers for 90 days, without asking the database."""
    limit = clock.today(practice.zone) - timedelta(days=STALE_AFTER_DAYS)
    return practice.numbers_confirmed_on is None or practice.numbers_confirmed_on < limit
