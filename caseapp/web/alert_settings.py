"""Settings of alerts: whom they reach and when, and how each member of staff is reached."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from flask import render_template, url_for

from caseapp.core.errors import NotFound
from caseapp.core.permissions import Action
from caseapp.domain.alerts.operations import update_alert_settings, update_staff_contact
from caseapp.domain.alerts.recipients import as_staff_member, get_alert_setting
from caseapp.domain.alerts.rules import is_supervisor, list_deputy_faults
from caseapp.domain.alerts.schemas import (
    AlertSettingsChange,
    AlertSettingsSchema,
    StaffContact,
    StaffContactSchema,
)
from caseapp.domain.users.queries import list_users
from caseapp.http.forms import Body, Done, FormPage, Forms, Sent, no_lock
from caseapp.web.settings import blueprint

if TYPE_CHECKING:
    from uuid import UUID

    from caseapp.domain.alerts.models import AlertSetting
    from caseapp.domain.users.models import User


@dataclass(frozen=True)
class AlertSettings:
    """The settings of alerts, and the active staff by name."""

    setting: AlertSetting
    staff: list[User]


def load_alert_settings() -> AlertSettings:
    """Load the settings of alerts and the active staff."""
    staff = [person for person in list_users() if person.disabled_at is None]
    return AlertSettings(get_alert_setting(), staff)


page = FormPage(blueprint, "/settings/alerts", Action.PRACTICE_EDIT, load_alert_settings)


@page.show
def alerts_page(found: AlertSettings, forms: Forms) -> str:
    """Show whom alerts reach and when, and how everybody is reached."""
    return render_template(
        "settings/alerts.html",
        forms=forms,
        setting=found.setting,
        staff=found.staff,
        names={person.id: person.name for person in found.staff},
        supervisors=_supervisors(found.staff),
    )


def _supervisors(staff: list[User]) -> dict[str, str]:
    return {
        str(person.id): person.name for person in staff if is_supervisor(as_staff_member(person))
    }


def alert_values(found: AlertSettings) -> dict[str, object]:
    """Return what the form of the settings sends untouched."""
    return {name: getattr(found.setting, name) for name in AlertSettingsSchema().fields}


@page.form(
    Action.PRACTICE_EDIT,
    Body(AlertSettingsSchema, AlertSettingsChange),
    lock=no_lock,
    values=alert_values,
    coupled=(
        ("safety_deputy_minutes", "safety_manager_minutes"),
        ("care_deputy_days", "care_manager_days"),
    ),
)
def save_alerts(_locked: None, change: AlertSettingsChange, sent: Sent) -> Done:
    """Save whom alerts reach and when."""
    update_alert_settings(sent.actor, change, sent.version)
    return Done(url_for("settings.alerts_page"), "saved")


@dataclass(frozen=True)
class ContactView:
    """A member of staff, and who may be their deputy by id."""

    person: User
    deputies: dict[str, str]


def load_contact(user_id: UUID) -> ContactView:
    """Load how a member of staff is reached.

    Raises NotFound, also when their account is disabled.
    """
    staff = load_alert_settings().staff
    person = next((one for one in staff if one.id == user_id), None)
    if person is None:
        raise NotFound
    deputies = {
        str(other.id): other.name
        for other in staff
        if not list_deputy_faults(as_staff_member(person), as_staff_member(other))
    }
    return ContactView(person, deputies)


contact = FormPage(blueprint, "/settings/alerts/<uuid:user_id>", Action.PRACTICE_EDIT, load_contact)


@contact.show
def contact_page(found: ContactView, forms: Forms) -> str:
    """Show how a member of staff is reached and who is their deputy."""
    return render_template(
        "settings/contact.html", forms=forms, person=found.person, deputies=found.deputies
    )


def contact_values(found: ContactView) -> dict[str, object]:
    """Return what the form of a member of staff sends untouched."""
    return {name: getattr(found.person, name) for name in StaffContactSchema().fields}


@contact.form(
    Action.PRACTICE_EDIT,
    Body(StaffContactSchema, StaffContact),
    lock=no_lock,
    values=contact_values,
)
def save_contact(_locked: None, change: StaffContact, sent: Sent) -> Done:
    """Save how a member of staff is reached and who is their deputy."""
    update_staff_contact(sent.actor, sent.args["user_id"], change, sent.version)
    return Done(url_for("settings.alerts_page"), "saved")
