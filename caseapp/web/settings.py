"""Settings: the practice's details, its logo, its help lines, and for how long it keeps records."""

from __future__ import annotations

from base64 import b64encode
from datetime import date
from typing import TYPE_CHECKING, Any
from zoneinfo import available_timezones

from flask import Blueprint, redirect, render_template, url_for

from caseapp.core import urls
from caseapp.core.i18n import LANGUAGES
from caseapp.core.images import make_logo
from caseapp.core.permissions import Action
from caseapp.core.transaction import transaction
from caseapp.domain.practice import operations
from caseapp.domain.practice.help_lines import KINDS, STALE_AFTER_DAYS, countries
from caseapp.domain.practice.queries import Logo, PracticeInfo, get_logo, get_practice_info
from caseapp.domain.practice.retention import PERIODS, PROFILES, VERSION, RetentionChange
from caseapp.domain.practice.schemas import (
    HelpLineSchema,
    LogoSchema,
    NewHelpLine,
    PracticeChange,
    PracticeSchema,
    RetentionSchema,
)
from caseapp.domain.users.queries import get_user_names
from caseapp.http.forms import BUTTON, Body, Done, FormPage, Forms, Sent, no_lock
from caseapp.http.template_helpers import flash
from caseapp.http.uploads import read_uploaded_file

if TYPE_CHECKING:
    from flask.typing import ResponseReturnValue

    from caseapp.domain.practice.models import Practice

blueprint = Blueprint("settings", __name__)

KIND_LABELS = {
    "emergency": "Emergency",
    "crisis": "Crisis and thoughts of suicide",
    "dv": "Fear and violence at home",
    "substance": "Alcohol and drugs",
    "ed": "Eating disorders",
    "behaviour": "Worried about their own behaviour",
    "safeguarding": "Worried about a child (child protection)",
    "children": "For children themselves",
}

practice = FormPage(
    blueprint, "/settings", Action.PRACTICE_EDIT, lambda: get_practice_info().practice
)


@practice.show
def practice_page(found: Practice, forms: Forms) -> str:
    """Show the form for the practice's details."""
    regions = {
        region: f"{region} ({country.name})"
        for country in countries().values()
        for region in country.regions
    }
    return render_template(
        "settings/practice.html",
        forms=forms,
        practice=found,
        portal_address=urls.portal_url(),
        countries={code: country.name for code, country in countries().items()},
        regions=regions,
        languages=LANGUAGES,
        zones={
            zone: zone.replace("_", " ") for zone in sorted(available_timezones()) if "/" in zone
        },
    )


def practice_values(found: Practice) -> dict[str, object]:
    """Return what the form of the practice's details sends untouched."""
    return {name: getattr(found, name) for name in PracticeSchema().fields}


@practice.form(
    Action.PRACTICE_EDIT,
    Body(PracticeSchema, PracticeChange),
    lock=no_lock,
    values=practice_values,
    coupled=(("country", "region"),),
)
def save_practice(_locked: None, change: PracticeChange, sent: Sent) -> Done:
    """Save the practice's details."""
    operations.update_practice(sent.actor, change, sent.version)
    return Done(url_for("settings.practice_page"), "saved")


logo = FormPage(blueprint, "/settings/logo", Action.PRACTICE_EDIT, get_logo)


@logo.show
def logo_page(found: Logo | None, forms: Forms) -> str:
    """Show the logo for printed handouts and the form to change it."""
    return render_template(
        "settings/logo.html",
        forms=forms,
        logo=found,
        logo_url=f"data:image/png;base64,{b64encode(found.picture).decode()}" if found else "",
    )


@logo.post(Action.PRACTICE_EDIT, Body(LogoSchema, str), rule="/settings/logo")
def upload_logo(alternative: str, sent: Sent) -> ResponseReturnValue:
    """Replace the logo; only the redrawn image is stored, never the uploaded file."""
    picture = make_logo(read_uploaded_file("logo"))
    with transaction():
        operations.set_logo(sent.actor, picture, alternative)
    flash("logo_added")
    return redirect(url_for("settings.logo_page"), code=303)


@logo.form(Action.PRACTICE_EDIT, BUTTON, lock=no_lock, rule="/settings/logo/remove")
def remove_logo(_locked: None, _body: dict[str, Any], sent: Sent) -> Done:
    """Remove the logo."""
    operations.remove_logo(sent.actor)
    return Done(url_for("settings.logo_page"), "logo_removed")


numbers = FormPage(blueprint, "/settings/numbers", Action.PRACTICE_EDIT, get_practice_info)


@numbers.show
def help_lines_page(info: PracticeInfo, forms: Forms) -> str:
    """Show every help line with its source, to be confirmed."""
    confirmed_by = info.practice.help_lines_confirmed_by
    return render_template(
        "settings/help_lines.html",
        forms=forms,
        help_lines=info.help_lines,
        practice_help_lines=info.own_help_lines,
        country=countries()[info.practice.country],
        kinds=KINDS,
        kind_labels=KIND_LABELS,
        kind_options={kind: KIND_LABELS[kind] for kind in KINDS[1:]},
        confirmed_by=get_user_names({confirmed_by}).get(confirmed_by) if confirmed_by else None,
        stale_after=STALE_AFTER_DAYS,
    )


@numbers.form(Action.PRACTICE_EDIT, BUTTON, lock=no_lock)
def confirm_help_lines(_locked: None, _body: dict[str, Any], sent: Sent) -> Done:
    """Record that every help line was checked today."""
    operations.confirm_help_lines(sent.actor)
    return Done(url_for("settings.help_lines_page"), "help_lines_confirmed")


@numbers.form(
    Action.PRACTICE_EDIT,
    Body(HelpLineSchema, NewHelpLine),
    lock=no_lock,
    rule="/settings/numbers/local",
)
def add_help_line(_locked: None, new: NewHelpLine, sent: Sent) -> Done:
    """Add a local help line."""
    operations.add_help_line(sent.actor, new)
    return Done(url_for("settings.help_lines_page"), "help_line_added")


@numbers.form(
    Action.PRACTICE_EDIT,
    BUTTON,
    lock=no_lock,
    rule="/settings/numbers/local/<uuid:line_id>/remove",
)
def remove_help_line(_locked: None, _body: dict[str, Any], sent: Sent) -> Done:
    """Remove a local help line."""
    operations.remove_help_line(sent.actor, sent.args["line_id"])
    return Done(url_for("settings.help_lines_page"), "help_line_removed")


retention = FormPage(
    blueprint,
    "/settings/retention",
    Action.PRACTICE_EDIT,
    lambda: get_practice_info().practice,
)


@retention.show
def retention_page(found: Practice, forms: Forms) -> str:
    """Show for how long records are kept by each profile, with sources, and the form that chooses."""
    return render_template(
        "settings/retention.html",
        forms=forms,
        practice=found,
        profiles=PROFILES,
        profile_labels={code: profile.label for code, profile in PROFILES.items()},
        periods=PERIODS,
        version=date.fromisoformat(VERSION),
    )


def retention_values(found: Practice) -> dict[str, object]:
    """Return what the form of the periods sends untouched."""
    return {
        "profile": found.retention_profile,
        "reason": found.retention_reason,
        **{code: found.retention_years.get(code) for code in PERIODS},
    }


@retention.form(
    Action.PRACTICE_EDIT,
    Body(RetentionSchema, RetentionChange),
    lock=no_lock,
    values=retention_values,
)
def save_retention(_locked: None, change: RetentionChange, sent: Sent) -> Done:
    """Save for how long records are kept."""
    operations.update_retention(sent.actor, change, sent.version)
    return Done(url_for("settings.retention_page"), "saved")
