"""Alerts: what waits for the user, what was acknowledged lately, and what one alert is about."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from flask import Blueprint, render_template, url_for

from caseapp.core.permissions import Action
from caseapp.domain.alerts.operations import acknowledge_alert
from caseapp.domain.alerts.queries import (
    LockedAlert,
    get_alerted_client,
    list_acknowledged_alerts,
    list_waiting_alerts,
    lock_alert,
)
from caseapp.domain.dashboard.queries import get_case_numbers
from caseapp.domain.followups.queries import list_page_followups
from caseapp.domain.practice.queries import get_practice_info
from caseapp.domain.screening.protocol import FLAG_LABELS
from caseapp.domain.screening.queries import get_safety_state
from caseapp.domain.screening.rules import list_episodes, list_immediate_steps
from caseapp.http.forms import BUTTON, Done, FormPage, Forms, Sent
from caseapp.http.guard import current_actor, needs

if TYPE_CHECKING:
    from uuid import UUID

    from flask.typing import ResponseReturnValue

    from caseapp.domain.alerts.schemas import AlertedClient, AlertRecord
    from caseapp.domain.followups.schemas import FollowUpRecord
    from caseapp.domain.screening.queries import SafetyState

blueprint = Blueprint("alerts", __name__)


@dataclass(frozen=True)
class Alerts:
    """The alerts to one person, and the newest case number of each client."""

    waiting: list[AlertRecord]
    acknowledged: list[AlertRecord]
    numbers: dict[UUID, str]


def load_alerts() -> Alerts:
    """Load the user's alerts and record whose they are."""
    actor = current_actor()
    waiting, acknowledged = list_waiting_alerts(actor), list_acknowledged_alerts(actor)
    clients = {alert.client_id for alert in (*waiting, *acknowledged) if alert.client_id}
    return Alerts(waiting, acknowledged, get_case_numbers(clients))


page = FormPage(blueprint, "/alerts", Action.ALERT_READ, load_alerts)


@dataclass(frozen=True)
class AlertView:
    """An alert with its client, what is known about the client's safety, and what has to be done."""

    found: AlertedClient
    safety: SafetyState
    actions: list[FollowUpRecord]


def load_alert(alert_id: UUID) -> AlertView:
    """Load an alert of the user with what somebody outside the care team may read: no notes, handouts or reports.

    Raises NotFound.
    """
    found = get_alerted_client(current_actor(), alert_id)
    safety = get_safety_state(found.client.id)
    holds = {hold.id: list_episodes(hold) for hold in safety.holds}
    return AlertView(found, safety, list_page_followups(found.client, found.key, holds))


@blueprint.get("/alerts/<uuid:alert_id>")
@needs(Action.ALERT_READ)
def alert_page(alert_id: UUID) -> ResponseReturnValue:
    """Show what an alert is about, whom to ring and what has to be done."""
    view = load_alert(alert_id)
    return render_template(
        "alerts/alert.html",
        alert=view.found.alert,
        client=view.found.client,
        safety=view.safety,
        actions=view.actions,
        immediate_steps=list_immediate_steps(view.safety.levels),
        help_lines=get_practice_info().help_lines,
        flag_labels=FLAG_LABELS,
    )


@page.show
def alert_list(found: Alerts, forms: Forms) -> str:
    """List the alerts to the user: those that wait first, the most urgent first."""
    return render_template("alerts/list.html", alerts=found, forms=forms)


@page.form(
    Action.ALERT_ACKNOWLEDGE,
    BUTTON,
    lock=lock_alert,
    rule="/alerts/<uuid:alert_id>/acknowledge",
)
def acknowledge(alert: LockedAlert, _body: dict[str, Any], sent: Sent) -> Done:
    """Acknowledge an alert."""
    acknowledge_alert(sent.actor, alert)
    return Done(url_for("alerts.alert_list"), "alert_acknowledged")
