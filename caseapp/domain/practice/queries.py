"""Queries about the practice: its settings, letterhead and current help lines."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date, timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import sqlalchemy as sa

from caseapp.core import clock, urls
from caseapp.core.database import db, entity_from_row, kept_in_session, run
from caseapp.domain.practice.help_lines import STALE_AFTER_DAYS, HelpLine, countries
from caseapp.domain.practice.models import Practice, PracticeHelpLine, PracticeLogo

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime


def get_practice() -> Practice:
    """Load the practice for a change; `caseapp init` has created it."""
    return db.session.scalars(sa.select(Practice)).one()


@dataclass(frozen=True)
class Logo:
    """The practice's logo, a small PNG, and its text alternative."""

    picture: bytes
    alternative: str


@dataclass(frozen=True)
class Letterhead:
    """The practice's letterhead; a discreet one has no name. `portal` is the address for a QR code, empty for none."""

    name: str
    tagline: str = ""
    contact: str = ""
    paper: str = "A4"
    logo: Logo | None = None
    portal: str = ""

    @property
    def is_discreet(self) -> bool:
        """Return whether a document with this letterhead must not tell where it comes from."""
        return not self.name

    def discreet(self) -> Letterhead:
        """Return the letterhead of a copy that a client saves: nothing but the paper size."""
        return Letterhead("", paper=self.paper)

    def without_qr_code(self) -> Letterhead:
        """Return the letterhead without a QR code."""
        return replace(self, portal="")

    def without_images(self) -> Letterhead:
        """Return the letterhead without logo and QR code."""
        return replace(self, logo=None, portal="")


def get_logo() -> Logo | None:
    """Get the practice's logo, if it has one."""
    row = db.session.execute(sa.select(PracticeLogo.picture, PracticeLogo.alternative)).first()
    return Logo(*row) if row else None


def today() -> date:
    """Return today's date in the practice's time zone."""
    return clock.today(get_practice_info().practice.zone)


def local_now() -> datetime:
    """Return the current time in the practice's time zone."""
    return clock.now().astimezone(ZoneInfo(get_practice_info().practice.zone))


def local_day(moment: datetime) -> date:
    """Return the day of a moment in the practice's time zone."""
    return moment.astimezone(ZoneInfo(get_practice_info().practice.zone)).date()


@dataclass(frozen=True)
class HelpLines:
    """The help lines to show, and whether the practice has confirmed them; `region` is the practice's, None for all."""

    lines: tuple[HelpLine, ...]
    confirmed_on: date | None
    stale: bool
    region: str | None = None

    def of_kinds(self, *kinds: str) -> list[HelpLine]:
        """Return the lines of some kinds, in that order."""
        return [line for kind in kinds for line in self.lines if line.kind == kind]

    def is_local(self, line: HelpLine) -> bool:
        """Return whether a line is for the whole country or for the practice's own region."""
        return line.region is None or line.region == self.region

    @property
    def has_abuse_line_for_everybody(self) -> bool:
        """Return whether everybody here has a line about domestic abuse, men and same-sex couples included.

        That is one for anyone, or one for women and one for men, who call it whatever their partner's sex is.
        """
        audiences = {line.audience for line in self.of_kinds("dv") if self.is_local(line)}
        return "anyone" in audiences or audiences >= {"women", "men"}

    @property
    def emergency(self) -> HelpLine:
        """The emergency number."""
        return self.of_kinds("emergency")[0]


class PracticeInfo:
    """The practice, for reading: its settings, its letterhead, the help lines that it added, and all help lines."""

    def __init__(self, rows: Sequence[sa.Row[*tuple[Any, ...]]]) -> None:
        """Take the rows of `PRACTICE_INFO`: the practice joined with each help line that it added, if any."""
        self.practice, self._has_logo = entity_from_row(rows[0], Practice), rows[0].has_logo
        self.own_help_lines = [
            line for row in rows if (line := entity_from_row(row, PracticeHelpLine)).id is not None
        ]

    @cached_property
    def letterhead(self) -> Letterhead:
        """The letterhead for PDFs."""
        practice = self.practice
        logo = get_logo() if self._has_logo else None
        code = urls.portal_url() if practice.paper_code else ""
        return Letterhead(
            practice.name, practice.tagline, practice.contact, practice.paper, logo, code
        )

    @cached_property
    def _lines(self) -> tuple[HelpLine, ...]:
        practice = self.practice
        shipped = (
            line
            for line in countries()[practice.country].lines
            if line.region is None or practice.region is None or line.region == practice.region
        )
        return (*map(_local_line, self.own_help_lines), *shipped)

    @property
    def help_lines(self) -> HelpLines:
        """The local help lines, then the country's; regional lines only where they apply.

        Help lines that the practice has not confirmed for 90 days are stale.
        """
        practice = self.practice
        return HelpLines(
            self._lines,
            practice.help_lines_confirmed_on,
            stale=are_help_lines_stale(practice),
            region=practice.region,
        )


def _local_line(line: PracticeHelpLine) -> HelpLine:
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


@kept_in_session
def get_practice_info() -> PracticeInfo:
    """Load the practice for reading, in one statement for each request."""
    return PracticeInfo(run(PRACTICE_INFO).all())


PRACTICE_INFO = (
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


def are_help_lines_stale(practice: Practice) -> bool:
    """Return whether nobody has confirmed the help lines for 90 days; causes no database query."""
    limit = clock.today(practice.zone) - timedelta(days=STALE_AFTER_DAYS)
    return practice.help_lines_confirmed_on is None or practice.help_lines_confirmed_on < limit


def lock_practice_row() -> None:
    """Lock the practice's row until the transaction ends, so that some changes of the whole practice run one at a time.

    These are hiding and numbering handouts, adding a client, and putting an intake to a supervisor.
    """
    db.session.execute(sa.select(Practice.id).with_for_update(key_share=True))
