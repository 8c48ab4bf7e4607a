"""Asked: the practice, what stands at the head of its paper, and the numbers on its pages and sheets today."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date, timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from caseapp.core import clock, urls
from caseapp.core.database import RowView, db, run
from caseapp.domain.practice.help_lines import STALE_AFTER_DAYS, HelpLine, countries
from caseapp.domain.practice.models import PracticeHelpLine, Practice, PracticeLogo

if TYPE_CHECKING:
    from collections.abc import Sequence


def get_practice() -> Practice:
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

    def without_qr_code(self) -> Letterhead:
        """Give the same without a QR code."""
        return replace(self, portal="")

    def without_images(self) -> Letterhead:
        """Give the same without logo and QR code."""
        return replace(self, logo=None, portal="")


def get_logo() -> Logo | None:
    """Give the practice's logo, if it has one."""
    row = db.session.execute(sa.select(PracticeLogo.picture, PracticeLogo.alternative)).first()
    return Logo(*row) if row else None


def today() -> date:
    """Tell the date in the practice's zone."""
    return clock.today(get_practice().zone)


def list_practice_help_lines() -> Sequence[PracticeHelpLine]:
    """List the lines that the practice added."""
    return db.session.scalars(sa.select(PracticeHelpLine).order_by(PracticeHelpLine.kind, PracticeHelpLine.name)).all()


@dataclass(frozen=True)
class HelpLines:
    """Hold the numbers to show, by kind, and whether the practice stands behind them."""

    lines: tuple[HelpLine, ...]
    confirmed_on: date | None
    stale: bool

    def of_kinds(self, *kinds: str) -> list[HelpLine]:
        """Give the lines of some kinds, in that order."""
        return [line for kind in kinds for line in self.lines if line.kind == kind]

    @property
    def emergency(self) -> HelpLine:
        """Give the emergency number."""
        return self.of_kinds("emergency")[0]


class PracticeInfo:
    """Show what clients see of the practice: its letterhead and the numbers to call, as they are at this moment."""

    def __init__(self, rows: Sequence[sa.Row[*tuple[Any, ...]]]) -> None:
        """Take the rows of `OFFICE`: the practice beside each of the lines that it added, or beside none."""
        self._practice, self._has_logo = RowView(rows[0], Practice), rows[0].has_logo
        self._added = [line for row in rows if (line := RowView(row, PracticeHelpLine)).id is not None]

    @cached_property
    def letterhead(self) -> Letterhead:
        """Gather what stands on the practice's paper."""
        found = self._practice
        logo = get_logo() if self._has_logo else None
        code = urls.portal_url() if found.paper_code else ""
        return Letterhead(found.name, found.tagline, found.contact, found.paper, logo, code)

    @cached_property
    def help_lines(self) -> HelpLines:
        """Gather the practice's own lines and the country's; regional lines only where they apply.

        Numbers that the practice has not confirmed for 90 days count as stale.
        """
        found = self._practice
        shipped = (
            line
            for line in countries()[found.country].lines
            if line.region is None or found.region is None or line.region == found.region
        )
        lines = (*map(_own_line, self._added), *shipped)
        return HelpLines(lines, found.help_lines_confirmed_on, stale=are_help_lines_stale(found))


def _own_line(line: RowView) -> HelpLine:
    return HelpLine(
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


def get_practice_info() -> PracticeInfo:
    """Look at what clients see of the practice, in one statement."""
    return PracticeInfo(run(OFFICE).all())


OFFICE = (
    sa.select(
        *Practice.__table__.c,
        PracticeLogo.id.is_not(None).label("has_logo"),
        *PracticeHelpLine.__table__.c,
    )
    .select_from(Practice)
    .outerjoin(PracticeLogo, sa.true())
    .outerjoin(PracticeHelpLine, sa.true())
    .order_by(PracticeHelpLine.kind, PracticeHelpLine.name)
)


def are_help_lines_stale(practice: Practice | RowView) -> bool:
    """Tell whether nobody has confirmed the practice's numbers for 90 days, without asking the database."""
    limit = clock.today(practice.zone) - timedelta(days=STALE_AFTER_DAYS)
    return practice.help_lines_confirmed_on is None or practice.help_lines_confirmed_on < limit
