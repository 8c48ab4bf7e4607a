"""What every page can use: words for dates and levels, icons, once-keys, messages, addresses of versioned assets."""

from __future__ import annotations

import hashlib
from datetime import date, datetime
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from flask import Flask, g, get_flashed_messages, request, url_for
from flask import flash as flask_flash
from lucide.jinja import lucide

from caseapp.core import settings
from caseapp.core.clock import now
from caseapp.core.permissions import Action
from caseapp.domain.cases.stages import stage_by_id, stages
from caseapp.domain.practice.queries import numbers_stale, the_practice
from caseapp.domain.screening.protocol import AWAITING_SIGN_OFF, ITEMS, LEVEL_WORDS
from caseapp.http.idempotency import fresh_key

if TYPE_CHECKING:
    from caseapp.domain.practice.models import Practice

# Messages travel as codes, since Flask's cookie can be read by whoever holds the browser.
MESSAGES = {
    "saved": "Saved.",
    "client_added": "The client is added. Start with a full screening.",
    "screening_recorded": "The screening is recorded.",
    "hold_opened": "A hold is open. These are the next steps.",
    "hold_cleared": "The hold has ended.",
    "flag_raised": "The flag is up.",
    "flag_lowered": "The flag is down.",
    "note_signed": "The note is signed. It can no longer be changed.",
    "note_saved": "Your draft is saved.",
    "note_discarded": "The draft is gone.",
    "case_moved": "The case has moved.",
    "case_closed": "The case is closed.",
    "case_reopened": "The case is open again, in Steady.",
    "followup_added": "The follow-up is added.",
    "followup_done": "The follow-up is recorded.",
    "handouts_assigned": "The handouts are assigned.",
    "giving_begun": "The sheets are on their way. Each client is looked at once more before they get it.",
    "handout_withdrawn": "The handout is withdrawn. The client no longer sees it.",
    "handout_read": "Marked as read.",
    "sheet_saved": "Saved, for you alone.",
    "sheet_shared": "Shared. What you write from now on stays yours until you share it again.",
    "sheet_taken_back": "Taken back. What you wrote is still here, for you alone.",
    "pdf_read": "Your answers were read from the file and saved, for you alone. Look them over.",
    "others_read": "The file held answers to other sheets as well. They are saved there, for you alone.",
    "others_left": "Another sheet in the file needs a look from you. Keep the file, and send it from that sheet too if "
    "it is on your list.",
    "file_waits": "We could not read the answers in that file. Nothing is lost: see below.",
    "file_sent": "The file is sent.",
    "file_removed": "The file is removed.",
    "handouts_replaced": "The newest version is given in place of the older one.",
    "handout_recalled": "The version is recalled. No client sees it any more.",
    "own_saved": "The draft is saved.",
    "own_sent": "The draft waits for a second person.",
    "own_taken_back": "The draft is back on the desk.",
    "own_sent_back": "The draft is sent back, with your reason.",
    "own_dropped": "The draft is dropped. Its history stays.",
    "own_published": "The handout is published.",
    "handout_hidden": "The sheet is hidden. What was given stays given.",
    "handout_shown": "The sheet is in the lists again.",
    "review_recorded": "The clinical review is recorded.",
    "numbers_confirmed": "The numbers are confirmed as of today.",
    "line_added": "The number is added.",
    "line_removed": "The number is removed.",
    "logo_put": "The logo is in place. New PDFs carry it.",
    "logo_removed": "The logo is gone from new PDFs.",
    "export_made": "The report is ready.",
    "link_sent": "If that address is known here, a link is on its way. It works for 15 minutes.",
    "codes_shown": "The codes were shown once and are not kept. Make new ones if they got lost.",
    "signed_out": "You are signed out.",
}


def say(code: str) -> None:
    """Show a message on the next page; `code` is a key of MESSAGES."""
    if code not in MESSAGES:
        raise KeyError(code)
    flask_flash(code)


def said() -> list[str]:
    """Give the messages to show on this page."""
    return [MESSAGES[code] for code in get_flashed_messages() if code in MESSAGES]


def practice() -> Practice:
    """Give the practice, once for each request."""
    if "practice" not in g:
        g.practice = the_practice()
    return g.practice  # type: ignore[no-any-return]


def zone() -> ZoneInfo:
    """Give the practice's time zone."""
    return ZoneInfo(practice().zone)


def today() -> date:
    """Tell today's date in the practice's zone."""
    return now().astimezone(zone()).date()


def local(moment: datetime) -> datetime:
    """Show a stored moment in the practice's zone."""
    return moment.astimezone(zone())


def day(value: date | datetime | None, *, weekday: bool = False) -> str:
    """Write a date as `14 May 2026`, or `Thu 14 May` near today."""
    if value is None:
        return ""
    found = local(value).date() if isinstance(value, datetime) else value
    if weekday or abs((found - today()).days) < 200:  # noqa: PLR2004 - days of the same half-year
        return (
            f"{found:%a} {found.day} {found:%b}"
            if found.year == today().year
            else f"{found.day} {found:%b %Y}"
        )
    return f"{found.day} {found:%b %Y}"


def long_day(value: date | datetime | None) -> str:
    """Write a date in full for records: `14 May 2026`."""
    if value is None:
        return ""
    found = local(value).date() if isinstance(value, datetime) else value
    return f"{found.day} {found:%B %Y}"


def clock_time(moment: datetime) -> str:
    """Write the time of day, 24 hours."""
    return f"{local(moment):%H:%M}"


def when(moment: datetime, *, inside: bool = False) -> str:
    """Write a moment: `Today, 14:00` or `Thu 14 May, 14:00`, and `today, 14:00` inside a sentence."""
    found = local(moment)
    name = ("today" if inside else "Today") if found.date() == today() else day(moment)
    return f"{name}, {found:%H:%M}"


@cache
def _stamp(path: str) -> str:
    file = Path(__file__).parents[1] / "static" / path
    return hashlib.sha256(file.read_bytes()).hexdigest()[:10]


def asset(path: str) -> str:
    """Give the address of a static file with its content's stamp, so that it can be cached for long."""
    return url_for("static", filename=path, v=_stamp(path))


def page_link(cursor: str | None) -> str:
    """Give the address of the next page of this list, with all its filters."""
    arguments: dict[str, Any] = {**(request.view_args or {}), **request.args.to_dict(flat=False)}
    arguments["cursor"] = cursor
    return url_for(request.endpoint or "", **arguments)


def initials(name: str) -> str:
    """Give the first letters of the first and the last word of a name."""
    words = name.split()
    return "".join(word[0].upper() for word in (*words[:1], *words[1:][-1:]))


def init_app(app: Flask) -> None:
    """Give the templates their vocabulary."""
    app.jinja_env.globals.update(
        # The package draws an icon anew each time, which took a seventh of a case page's time.
        lucide=cache(lucide),
        asset=asset,
        fresh_key=fresh_key,
        said=said,
        practice=practice,
        numbers_stale=numbers_stale,
        today=today,
        now=now,
        page_link=page_link,
        Action=Action,
        stages=stages,
        stage_by_id=stage_by_id,
        items=ITEMS,
        level_words=LEVEL_WORDS,
        awaiting_sign_off=AWAITING_SIGN_OFF,
        demo=settings.active().demo,
    )
    app.jinja_env.filters.update(
        day=day, long_day=long_day, clock_time=clock_time, when=when, local=local, initials=initials
    )
    app.jinja_env.trim_blocks = app.jinja_env.lstrip_blocks = True
    app.context_processor(lambda: {"me": g.get("actor")})
