"""The Today page: what needs attention now."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flask import Blueprint, render_template

from caseapp.core.clock import now
from caseapp.core.permissions import Action
from caseapp.domain.dashboard import queries
from caseapp.domain.dashboard.rules import order_attention
from caseapp.domain.erasure.queries import count_waiting
from caseapp.domain.practice.queries import get_practice_info
from caseapp.http.guard import current_actor, needs
from caseapp.http.template_helpers import local, show_waiting_alerts

if TYPE_CHECKING:
    from flask.typing import ResponseReturnValue

blueprint = Blueprint("today", __name__)

NOON, EVENING = 12, 18


@blueprint.get("/today")
@needs(Action.TODAY_READ)
def today() -> ResponseReturnValue:
    """Show what needs the user's attention; an admin sees the practice and no clients."""
    actor = current_actor()
    today_view = queries.get_today(actor)
    if not actor.may(Action.CASE_READ):
        return render_template(
            "today/admin.html", help_lines=get_practice_info().help_lines, greeting=_greeting()
        )
    show_waiting_alerts((alert.opened_at for alert in today_view.alerts), today_view.reading_until)
    return render_template(
        "today/today.html",
        today_view=today_view,
        attention=order_attention(today_view),
        waiting_erasures=count_waiting(actor),
        greeting=_greeting(),
    )


def _greeting() -> str:
    hour = local(now()).hour
    return f"Good {'morning' if hour < NOON else 'afternoon' if hour < EVENING else 'evening'}"
