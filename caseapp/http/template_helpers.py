"""Helpers for templates: dates, icons, idempotency keys, flashed messages, addresses of versioned assets."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from functools import cache
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from flask import (
    Flask,
    before_render_template,
    g,
    get_flashed_messages,
    request,
    template_rendered,
    url_for,
)
from flask import flash as flask_flash
from lucide.jinja import lucide
from sqlalchemy.exc import SQLAlchemyError

from caseapp.core import i18n, settings
from caseapp.core.clock import now
from caseapp.core.i18n import lazy_gettext
from caseapp.core.permissions import Action
from caseapp.core.render_guard import begin_rendering, end_rendering
from caseapp.domain.alerts.queries import count_waiting_alerts
from caseapp.domain.alerts.schemas import WaitingAlerts
from caseapp.domain.cases.stages import stage_by_id, stages
from caseapp.domain.practice.models import NEUTRAL_SITE
from caseapp.domain.practice.queries import are_help_lines_stale, get_practice_info
from caseapp.domain.screening.protocol import AWAITING_SIGN_OFF, ITEMS, LEVEL_LABELS
from caseapp.http.assets import asset
from caseapp.http.idempotency import new_idempotency_key
from caseapp.http.interfaces import Interface, current_interface
from caseapp.http.unreachable import is_unreachable

if TYPE_CHECKING:
    from collections.abc import Iterable
    from uuid import UUID

    from caseapp.domain.practice.models import Practice

# Only codes are stored in Flask's cookie, since anyone with the browser can read it.
MESSAGES = {
    "saved": lazy_gettext("Saved."),
    "client_added": lazy_gettext("Client added. Start with a full screening."),
    "supervisor_asked": lazy_gettext(
        "Your supervisor has been asked. What you entered is kept for 30 days."
    ),
    "screening_recorded": lazy_gettext("Screening recorded."),
    "decision_recorded": lazy_gettext("Decision recorded."),
    "circumstance_ended": lazy_gettext("Recorded. This circumstance is no longer current."),
    "screening_in_error": lazy_gettext(
        "Marked as recorded in error. These answers no longer count."
    ),
    "hold_opened": lazy_gettext("A hold is open. These are the required actions."),
    "draft_opened_hold": lazy_gettext("Draft saved. A safety hold is open."),
    "only_saved": lazy_gettext(
        "The draft was saved, but the rest was not done. Check the draft and try again from there."
    ),
    "hold_released": lazy_gettext("Hold released."),
    "handout_allowed": lazy_gettext("Saved. This handout can be assigned in this case."),
    "second_person_named": lazy_gettext(
        "Saved. The supervisor you named can see the hold under Today."
    ),
    "contact_confirmed": lazy_gettext("Safe contact confirmed."),
    "flag_set": lazy_gettext("Flag set."),
    "flag_cleared": lazy_gettext("Flag cleared."),
    "addendum_signed": lazy_gettext(
        "Addendum signed. It is shown with the note, which stays as it was."
    ),
    "note_cosigned": lazy_gettext("Note co-signed."),
    "draft_filed": lazy_gettext("Filed. The note says that its author never signed it."),
    "note_returned": lazy_gettext("Note returned to its author. It stays as it was signed."),
    "note_signed": lazy_gettext("Note signed. It can no longer be changed."),
    "note_saved": lazy_gettext("Draft saved."),
    "snippet_deleted": lazy_gettext("Snippet deleted."),
    "answers_copied": lazy_gettext(
        "Draft saved. The copied answers count once you have confirmed them."
    ),
    "text_restored": lazy_gettext(
        "The earlier text is back. The one that it replaced is kept with the earlier texts."
    ),
    "plan_brought": lazy_gettext("Draft saved. The last plan is now below yours."),
    "note_moved": lazy_gettext("Note moved. It is now in this client’s record."),
    "clients_merged": lazy_gettext("Records merged. All cases are in this record now."),
    "note_discarded": lazy_gettext("Draft discarded."),
    "case_moved": lazy_gettext("Stage changed."),
    "case_closed": lazy_gettext("Case closed."),
    "case_reopened": lazy_gettext("Case reopened in Steady."),
    "alert_acknowledged": lazy_gettext("Alert acknowledged. It won’t be passed on any further."),
    "plan_saved": lazy_gettext("Plan saved."),
    "plan_reviewed": lazy_gettext("Review recorded."),
    "plan_shown": lazy_gettext("The plan is in the portal now."),
    "plan_removed": lazy_gettext("The plan is no longer in the portal."),
    "access_denied": lazy_gettext(
        "Recorded. From now on this person doesn’t see the client anywhere."
    ),
    "denial_ended": lazy_gettext(
        "Ended. What this person sees now depends on their role and team."
    ),
    "cases_offered": lazy_gettext("Offered. Your colleague will decide about each case."),
    "case_accepted": lazy_gettext("Accepted. You are the client’s coach now."),
    "transfer_undone": lazy_gettext(
        "Undone. Cover for the client ended with the transfer. Arrange it again if it is needed."
    ),
    "emergency_opened": lazy_gettext(
        "You can read this client’s record for 60 minutes. The coach will be told."
    ),
    "emergency_ended": lazy_gettext(
        "Emergency access ended. You can no longer open this client’s record."
    ),
    "access_reviewed": lazy_gettext("The review is recorded."),
    "handed_over": lazy_gettext("Handed over. The person who took over has been told."),
    "followup_added": lazy_gettext("Follow-up added."),
    "own_words_saved": lazy_gettext("Saved. Only you can see it."),
    "contact_recorded": lazy_gettext("Recorded."),
    "consent_recorded": lazy_gettext("Recorded."),
    "disclosure_recorded": lazy_gettext("Recorded."),
    "consent_in_error": lazy_gettext("Marked as recorded in error."),
    "erasure_requested": lazy_gettext("Requested. Somebody else will decide about it."),
    "legal_hold_placed": lazy_gettext(
        "Legal hold placed. The record is kept until somebody else lifts it."
    ),
    "legal_hold_lifted": lazy_gettext("Legal hold lifted."),
    "record_erased": lazy_gettext("Erased. This is the certificate."),
    "consent_withdrawn": lazy_gettext(
        "Withdrawal recorded. Handouts, email and reports have stopped for this client."
    ),
    "consent_text_published": lazy_gettext("Consent text published."),
    "contact_in_error": lazy_gettext("Marked as recorded in error."),
    "result_recorded": lazy_gettext("Result recorded."),
    "handouts_assigned": lazy_gettext("Handouts assigned."),
    "bulk_assignment_started": lazy_gettext(
        "Bulk assignment started. Each client is checked again before the handout is assigned."
    ),
    "handout_withdrawn": lazy_gettext("Handout withdrawn. The client no longer sees it."),
    "handout_read": lazy_gettext("Marked as read."),
    "worksheet_saved": lazy_gettext("Saved. Only you can see it."),
    "worksheet_shared": lazy_gettext(
        "Shared. Your coach won’t see anything you write from now on unless you share it again."
    ),
    "worksheet_unshared": lazy_gettext(
        "No longer shared. What you wrote is still here, and only you can see it."
    ),
    "worksheet_deleted": lazy_gettext("Deleted. Nobody can read these answers here any more."),
    "earlier_opened": lazy_gettext(
        "What you wrote before is open again. You don’t need your earlier PIN any more."
    ),
    "pin_changed": lazy_gettext(
        "Your PIN was changed. If this list was open anywhere else, it is closed there now."
    ),
    "device_remembered": lazy_gettext("Remembered. To come back here, you only need your PIN."),
    "devices_forgotten": lazy_gettext(
        "Forgotten. If this list was open anywhere else, it is closed there now."
    ),
    "client_devices_forgotten": lazy_gettext(
        "Forgotten. The client is signed out, and needs a link or a card to come back."
    ),
    "answers_read": lazy_gettext(
        "We read your answers from the file and saved them. Only you can see them. Check that they are "
        "right."
    ),
    "other_answers_read": lazy_gettext(
        "The file also had answers to other worksheets. They are saved there, "
        "and only you can see them."
    ),
    "other_worksheet_unread": lazy_gettext(
        "We couldn’t save the answers to another worksheet in this file. "
        "If that worksheet is on your list, send the file from there too."
    ),
    "upload_unreadable": lazy_gettext(
        "We couldn’t read the answers in that file. Nothing is lost: see below."
    ),
    "upload_sent": lazy_gettext("File sent."),
    "upload_removed": lazy_gettext("File deleted."),
    "handouts_replaced": lazy_gettext("The newest version replaces the older one."),
    "handout_recalled": lazy_gettext("Version recalled. Clients no longer see it."),
    "draft_saved": lazy_gettext("Draft saved."),
    "draft_submitted": lazy_gettext("Draft submitted for approval by a second person."),
    "draft_withdrawn": lazy_gettext("Draft withdrawn. You can edit it again."),
    "draft_returned": lazy_gettext("Draft returned with your reason."),
    "draft_discarded": lazy_gettext("Draft discarded. Its history is kept."),
    "handout_published": lazy_gettext("Handout published."),
    "handout_hidden": lazy_gettext("Handout hidden. Existing assignments are not affected."),
    "handout_shown": lazy_gettext("The handout is listed again."),
    "review_recorded": lazy_gettext("Clinical review recorded."),
    "help_lines_confirmed": lazy_gettext("Help lines confirmed as of today."),
    "help_line_added": lazy_gettext("Help line added."),
    "help_line_removed": lazy_gettext("Help line removed."),
    "logo_added": lazy_gettext("Logo added. New PDFs show it."),
    "logo_removed": lazy_gettext("Logo removed from new PDFs."),
    "export_ready": lazy_gettext("The report is ready."),
    "link_sent": lazy_gettext(
        "If we know that address, we’ve sent a link. It works for 15 minutes."
    ),
    "codes_shown": lazy_gettext(
        "The codes are shown only once and are not stored. If they are lost, create new ones."
    ),
    "words_kept": lazy_gettext(
        "You’ve been signed out. What you typed is kept. Sign in to find it in the form again."
    ),
    "sent_already": lazy_gettext("What you sent was saved the first time. Sign in again to go on."),
    "words_discarded": lazy_gettext("What you typed was discarded."),
    "password_changed": lazy_gettext(
        "Password changed. You’re signed out everywhere else, and your API tokens have ended."
    ),
    "password_link_sent": lazy_gettext(
        "If we know that address, we’ve sent a link. It works for 60 minutes."
    ),
    "password_chosen": lazy_gettext("Your password is set. Sign in with it."),
    "invited": lazy_gettext("Invited. The link is on its way by email and works for 72 hours."),
    "person_saved": lazy_gettext("Saved."),
    "person_disabled": lazy_gettext(
        "Account disabled. They are signed out everywhere, and their tokens have ended."
    ),
    "person_enabled": lazy_gettext("Account enabled. They can sign in again."),
    "sessions_ended_of": lazy_gettext("They are signed out everywhere."),
    "factor_removed_of": lazy_gettext(
        "Second factor removed. They are signed out everywhere, and told by email and on their own page."
    ),
    "factor_removed": lazy_gettext("App removed."),
    "passkey_added": lazy_gettext("Passkey added. You’re signed out everywhere else."),
    "passkey_removed": lazy_gettext("Passkey removed."),
    "identity_linked": lazy_gettext(
        "Account linked. You’re signed out everywhere else, and your API tokens have ended."
    ),
    "identity_unlinked": lazy_gettext(
        "Account unlinked. You’re signed out everywhere else, and your API tokens have ended."
    ),
    "confirmed": lazy_gettext("Confirmed. Send the form now; what you typed is still in it."),
    "token_revoked": lazy_gettext("Token revoked."),
    "program_ended": lazy_gettext("Program ended."),
    "session_ended": lazy_gettext("Session ended."),
    "signed_out": lazy_gettext("You’re signed out."),
}


def flash(code: str) -> None:
    """Show a message on the next page; `code` is a key of MESSAGES. Raises KeyError for another."""
    if code not in MESSAGES:
        raise KeyError(code)
    flask_flash(code)


def flashed_messages() -> list[str]:
    """Return the messages to show on this page, each once, also after a form was sent twice."""
    codes = dict.fromkeys(get_flashed_messages())
    return [MESSAGES[code] for code in codes if code in MESSAGES]


def current_practice() -> Practice:
    """Return the practice for reading."""
    return get_practice_info().practice


def provider_name() -> str:
    """Return what people call the provider at which staff can sign in; empty without one."""
    provider = settings.active().provider
    return provider.name if provider else ""


def zone() -> ZoneInfo:
    """Return the practice's time zone; a page asks for it a hundred times."""
    if "zone" not in g:
        g.zone = ZoneInfo(current_practice().zone)
    return g.zone  # type: ignore[no-any-return]


def today() -> date:
    """Return today's date in the practice's time zone."""
    return now().astimezone(zone()).date()


def local(moment: datetime) -> datetime:
    """Convert a time to the practice's time zone."""
    return moment.astimezone(zone())


def local_day(moment: datetime) -> str:
    """Format the date of a time in the current language, with its year unless it is the current one."""
    found = local(moment).date()
    return i18n.format_day(found) if found.year == today().year else i18n.format_date(found)


def local_date(moment: datetime) -> str:
    """Format the date of a time in the current language, with its year."""
    return i18n.format_date(local(moment).date())


def local_time(moment: datetime) -> str:
    """Format the time of day in the current language."""
    return i18n.format_time(local(moment))


def day(value: date | datetime | None, *, weekday: bool = False) -> str:
    """Format a date as `14 May 2026`, or as `Thu 14 May` near today."""
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
    """Format a date in full, for records: `14 May 2026`."""
    if value is None:
        return ""
    found = local(value).date() if isinstance(value, datetime) else value
    return f"{found.day} {found:%B %Y}"


def clock_time(moment: datetime) -> str:
    """Format the time of day, 24 hours."""
    return f"{local(moment):%H:%M}"


def when(moment: datetime, *, inside: bool = False) -> str:
    """Format a date and time: `Today, 14:00` or `Thu 14 May, 14:00`; inside a sentence `today, 14:00`."""
    found = local(moment)
    name = ("today" if inside else "Today") if found.date() == today() else day(moment)
    return f"{name}, {found:%H:%M}"


def until(moment: datetime) -> str:
    """Format the end of something for the words after “until”: its last minute, so that midnight names the last day."""
    return when(moment - timedelta(minutes=1), inside=True)


def page_link(cursor: str | None) -> str:
    """Return the address of the next page of this list, with its filters."""
    arguments: dict[str, Any] = {**(request.view_args or {}), **request.args.to_dict(flat=False)}
    arguments["cursor"] = cursor
    return url_for(request.endpoint or "", **arguments)


def initials(name: str) -> str:
    """Return the first letters of the first and the last word of a name."""
    words = name.split()
    return "".join(word[0].upper() for word in (*words[:1], *words[1:][-1:]))


def show_waiting_alerts(opened: Iterable[datetime], reading_until: datetime | None) -> None:
    """Let the frame of this page show that the alerts of these times wait, as a view that lists them knows.

    `reading_until` is when the emergency access of whoever reads the page ends, if they have one.
    """
    moments = [*opened]
    g.waiting_alerts = WaitingAlerts(len(moments), min(moments, default=None), reading_until)


def only_reads(client_id: UUID | None) -> bool:
    """Tell whether whoever reads this page reads a client's record by emergency access and can change nothing of it.

    What would change it isn't shown to them then: no form, and no link to a page that only asks for a change.
    """
    waiting: WaitingAlerts | None = g.get("waiting_alerts")
    return waiting is not None and client_id in waiting.only_read


def _load_page_context() -> dict[str, Any]:
    """Give every page its user, and load before it renders what its frame shows.

    That is the practice, for its language or for where to leave to, and on staff pages the alerts that wait.
    """
    me = g.get("actor")
    context: dict[str, Any] = {"me": me}
    if current_interface() is Interface.STAFF:
        i18n.use_language(current_practice().language)
        if me is not None and me.may(Action.ALERT_READ):
            if "waiting_alerts" not in g:
                g.waiting_alerts = count_waiting_alerts(me)
            context["waiting_alerts"] = g.waiting_alerts
    elif current_interface() in {Interface.PORTAL, Interface.EXIT}:
        context["exit_url"] = _find_exit_url()
    return context


def _find_exit_url() -> str:
    """Return the everyday site of the practice, or ours when the practice can't be read: leaving must always work."""
    if is_unreachable():
        return NEUTRAL_SITE
    try:
        return get_practice_info().practice.exit_url
    except SQLAlchemyError:
        return NEUTRAL_SITE


def init_app(app: Flask) -> None:
    """Register globals, filters and the context of templates, and guard them against statements."""
    before_render_template.connect(begin_rendering, app)
    template_rendered.connect(end_rendering, app)
    app.jinja_env.globals.update(
        # The package renders an icon anew each time, which took a seventh of a case page's time.
        lucide=cache(lucide),
        asset=asset,
        new_idempotency_key=new_idempotency_key,
        flashed_messages=flashed_messages,
        current_practice=current_practice,
        provider_name=provider_name,
        are_help_lines_stale=are_help_lines_stale,
        today=today,
        now=now,
        page_link=page_link,
        only_reads=only_reads,
        Action=Action,
        stages=stages,
        stage_by_id=stage_by_id,
        items=ITEMS,
        level_words=LEVEL_LABELS,
        awaiting_sign_off=AWAITING_SIGN_OFF,
        demo=settings.active().demo,
    )
    app.jinja_env.filters.update(
        day=day,
        long_day=long_day,
        clock_time=clock_time,
        until=until,
        when=when,
        local=local,
        local_day=local_day,
        local_date=local_date,
        local_time=local_time,
        initials=initials,
    )
    i18n.install_in(app.jinja_env)
    app.jinja_env.trim_blocks = app.jinja_env.lstrip_blocks = True
    app.context_processor(_load_page_context)
