"""Tables: the practice, its logo and the help lines that it added."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from caseapp.core.actor import OPERATOR_HAS_NO_ACCOUNT
from caseapp.core.database import PRINTED, Model, between, one_of, unconstrained
from caseapp.core.i18n import LANGUAGES, SOURCE_LANGUAGE
from caseapp.core.ids import new_id
from caseapp.domain.practice.help_lines import KINDS
from caseapp.domain.practice.retention import PROFILES as RETENTION_PROFILES

# The site that “Leave now” opens until the practice chooses another, and when its choice can't be read.
NEUTRAL_SITE = "https://www.wikipedia.org/"

PAPER_SIZES = ("A4", "Letter")


class Practice(Model):
    """The practice; there is exactly one row."""

    __tablename__ = "practice"

    id: Mapped[int] = mapped_column(
        sa.SmallInteger, primary_key=True, autoincrement=False, default=1, info=between(1, 1)
    )
    name: Mapped[str] = mapped_column(sa.String(80), info=PRINTED)
    tagline: Mapped[str] = mapped_column(sa.String(120), default="", info=PRINTED)
    contact: Mapped[str] = mapped_column(sa.String(200), default="", info=PRINTED)
    country: Mapped[str] = mapped_column(
        sa.String(2),
        info=unconstrained("The countries for which the library has help lines."),
    )
    region: Mapped[str | None] = mapped_column(
        sa.String(60), info=unconstrained("The regions for which the library has help lines.")
    )
    zone: Mapped[str] = mapped_column(
        sa.String(40), info=unconstrained("The time zones come from the system’s own list.")
    )
    language: Mapped[str] = mapped_column(
        sa.String(5),
        default=SOURCE_LANGUAGE,
        server_default=SOURCE_LANGUAGE,
        info=one_of(LANGUAGES),
    )
    paper: Mapped[str] = mapped_column(sa.String(6), default="A4", info=one_of(PAPER_SIZES))
    paper_code: Mapped[bool] = mapped_column(default=False)
    second_factor_roles: Mapped[list[str]] = mapped_column(
        default=list, server_default=sa.text("'[]'")
    )
    """The roles of the staff who must have a second factor."""
    requires_single_sign_on: Mapped[bool] = mapped_column(default=False, server_default=sa.false())
    """Whether staff who have linked an account at the provider sign in only there."""
    signs_out_at_provider: Mapped[bool] = mapped_column(default=False, server_default=sa.false())
    """Whether signing out of a session that began at the provider leads on to signing out there."""
    consent_version: Mapped[int] = mapped_column(
        default=0, server_default=sa.text("0"), info=between(0)
    )
    """The newest version of the practice's consent text; 0 until it publishes one."""
    tells_new_coach: Mapped[bool] = mapped_column(default=False, server_default=sa.false())
    """Whether a client is told when somebody else coaches them."""
    retention_profile: Mapped[str | None] = mapped_column(
        sa.String(8), info=one_of(RETENTION_PROFILES)
    )
    """The profile that says for how long records are kept; None until the practice chooses one."""
    retention_years: Mapped[dict[str, Any]] = mapped_column(
        default=dict, server_default=sa.text("'{}'")
    )
    """Years, by period, that the practice has chosen otherwise than its profile."""
    retention_reason: Mapped[str] = mapped_column(
        sa.String(400), default="", server_default=sa.text("''")
    )
    """Why some of these are fewer than those of the profile."""
    exit_url: Mapped[str] = mapped_column(sa.String(200))
    help_lines_confirmed_on: Mapped[date | None]
    help_lines_confirmed_by: Mapped[UUID | None] = mapped_column(
        info=unconstrained(OPERATOR_HAS_NO_ACCOUNT)
    )
    updated_at: Mapped[datetime]
    version: Mapped[int] = mapped_column(default=1, info=between(1))

    __mapper_args__ = {"version_id_col": version}  # noqa: RUF012 - SQLAlchemy's own form


class PracticeLogo(Model):
    """The practice's logo, redrawn when it was uploaded; there is at most one row."""

    __tablename__ = "practice_logo"

    id: Mapped[int] = mapped_column(
        sa.SmallInteger, primary_key=True, autoincrement=False, default=1, info=between(1, 1)
    )
    picture: Mapped[bytes]
    alternative: Mapped[str] = mapped_column(sa.String(120), info=PRINTED)
    updated_at: Mapped[datetime]


class PracticeHelpLine(Model):
    """A local help line that the practice added, shown with those of its country."""

    __tablename__ = "practice_help_line"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    kind: Mapped[str] = mapped_column(sa.String(12), info=one_of(KINDS[1:]))
    name: Mapped[str] = mapped_column(sa.String(80), info=PRINTED)
    phone: Mapped[str] = mapped_column(sa.String(30), info=PRINTED)
    hours: Mapped[str] = mapped_column(sa.String(60), default="", info=PRINTED)
    created_at: Mapped[datetime]
    created_by: Mapped[UUID] = mapped_column(info=unconstrained(OPERATOR_HAS_NO_ACCOUNT))
