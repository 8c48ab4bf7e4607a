"""Alerts: what waits for the user, what was acknowledged lately, and what one alert is about."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from flask import Blueprint, render_template, url_for

from caseapp.core.permissions import Action
from caseapp.domain.alerts.operations import acknowledge_alert
from caseapp.domain.alerts.queries import (
    LockedAlert,
    get_alert,
    get_alerted_client,
    list_acknowledged_alerts,
    list_waiting_alerts,
    lock_alert,
)
from caseapp.domain.clients.rules import list_channel_blockers
from caseapp.domain.dashboard.queries import get_case_numbers
from caseapp.domain.followups.queries import list_page_followups
from caseapp.domain.practice.queries import get_practice_info
from caseapp.domain.screening.current import get_safety_state
from caseapp.domain.screening.protocol import FLAG_LABELS
from caseapp.domain.screening.rules import list_episodes, list_immediate_steps
from caseapp.http.forms import BUTTON, Done, FormPage, Forms, Sent
from caseapp.http.guard import current_actor

if TYPE_CHECKING:
    from uuid import UUID

    from caseapp.core.actor import Actor
    from caseapp.domain.alerts.schemas import AlertedClient, AlertRecord
    from caseapp.domain.followups.schemas import FollowUpRecord
    from caseapp.domain.screening.current import SafetyState

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


one = FormPage(
    blueprint,
    "/alerts/<uuid:alert_id>",
    Action.ALERT_READ,
    load_alert,
    client_of=lambda view: view.found.client.id,
    by_own_right=True,
)


@one.show
def alert_page(view: AlertView, forms: Forms) -> str:
    """Show what an alert is about, whom to ring and what has to be done."""
    client = view.found.client
    return render_template(
        "alerts/alert.html",
        forms=forms,
        alert=view.found.alert,
        client=client,
        may_call=not list_channel_blockers(client, view.safety.flags, "call"),
        safety=view.safety,
        actions=view.actions,
        immediate_steps=list_immediate_steps(view.safety.levels),
        help_lines=get_practice_info().help_lines,
        flag_labels=FLAG_LABELS,
    )


@one.form(Action.ALERT_ACKNOWLEDGE, BUTTON, lock=lock_alert)
def acknowledge_here(alert: LockedAlert, _body: dict[str, Any], sent: Sent) -> Done:
    """Acknowledge an alert on its own page."""
    acknowledge_alert(sent.actor, alert)
    return Done(_address_of(sent.actor, alert), "alert_acknowledged")


def _address_of(actor: Actor, alert: LockedAlert) -> str:
    """Return where to go on after an alert: the hold, or the page of the alert for somebody outside the care team."""
    found = get_alert(actor, alert.row.id)
    number = get_case_numbers([alert.row.client_id]).get(alert.row.client_id)
    if found.is_member and number:
        return url_for("holds.hold_page", number=number)
    return url_for("alerts.alert_page", alert_id=found.id)


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
    return Done(_address_of(sent.actor, alert), "alert_acknowledged")
