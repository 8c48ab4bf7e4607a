"""Settings: the practice's details, its logo and its help lines."""

from __future__ import annotations

from base64 import b64encode
from typing import TYPE_CHECKING
from zoneinfo import available_timezones

from flask import Blueprint, redirect, render_template, url_for

from caseapp.core import urls
from caseapp.core.errors import Invalid, Stale
from caseapp.core.images import make_logo
from caseapp.core.permissions import Action
from caseapp.core.transaction import transaction
from caseapp.domain.practice import operations
from caseapp.domain.practice.help_lines import KINDS, STALE_AFTER_DAYS, countries
from caseapp.domain.practice.queries import get_logo, get_practice_info
from caseapp.domain.practice.schemas import HelpLineSchema, LogoSchema, PracticeSchema
from caseapp.domain.users.queries import get_user_names
from caseapp.http.guard import current_actor, needs
from caseapp.http.idempotency import run_form_once
from caseapp.http.request_parsing import Form, form_version, read_form, submitted_form
from caseapp.http.template_helpers import flash
from caseapp.http.uploads import read_uploaded_file

if TYPE_CHECKING:
    from uuid import UUID

    from flask.typing import ResponseReturnValue

blueprint = Blueprint("settings", __name__)

KIND_LABELS = {
    "emergency": "Emergency",
    "crisis": "Crisis and thoughts of suicide",
    "dv": "Fear and violence at home",
    "substance": "Alcohol and drugs",
    "ed": "Eating disorders",
    "behaviour": "Worried about own behaviour",
}


@blueprint.get("/settings")
@needs(Action.PRACTICE_EDIT)
def practice_page() -> ResponseReturnValue:
    """Show the form for the practice's details."""
    return _practice(Form())


def _practice(form: Form, *, stale: bool = False) -> str:
    regions = {
        region: f"{region} ({country.name})"
        for country in countries().values()
        for region in country.regions
    }
    return render_template(
        "settings/practice.html",
        form=form,
        stale=stale,
        practice=get_practice_info().practice,
        portal_address=urls.portal_url(),
        countries={code: country.name for code, country in countries().items()},
        regions=regions,
        zones={
            zone: zone.replace("_", " ") for zone in sorted(available_timezones()) if "/" in zone
        },
    )


@blueprint.post("/settings")
@needs(Action.PRACTICE_EDIT)
def save_practice() -> ResponseReturnValue:
    """Save the practice's details."""
    try:
        change, version = read_form(PracticeSchema()), form_version()
        with transaction():
            operations.update_practice(current_actor(), change, version)
    except Invalid as error:
        return _practice(submitted_form(error)), 422
    except Stale:
        return _practice(submitted_form(), stale=True), 412
    flash("saved")
    return redirect(url_for("settings.practice_page"), code=303)


@blueprint.get("/settings/logo")
@needs(Action.PRACTICE_EDIT)
def logo_page() -> ResponseReturnValue:
    """Show the logo for printed handouts and the form to change it."""
    return _logo(Form())


def _logo(form: Form) -> str:
    logo = get_logo()
    logo_url = f"data:image/png;base64,{b64encode(logo.picture).decode()}" if logo else ""
    return render_template("settings/logo.html", form=form, logo=logo, logo_url=logo_url)


@blueprint.post("/settings/logo")
@needs(Action.PRACTICE_EDIT)
def upload_logo() -> ResponseReturnValue:
    """Replace the logo; only the redrawn image is stored, never the uploaded file."""
    try:
        alternative = read_form(LogoSchema())
        picture = make_logo(read_uploaded_file("logo"))
        with transaction():
            operations.set_logo(current_actor(), picture, alternative)
    except Invalid as error:
        return _logo(submitted_form(error)), 422
    flash("logo_added")
    return redirect(url_for("settings.logo_page"), code=303)


@blueprint.post("/settings/logo/remove")
@needs(Action.PRACTICE_EDIT)
def remove_logo() -> ResponseReturnValue:
    """Remove the logo."""
    with transaction():
        operations.remove_logo(current_actor())
    flash("logo_removed")
    return redirect(url_for("settings.logo_page"), code=303)


@blueprint.get("/settings/numbers")
@needs(Action.PRACTICE_EDIT)
def help_lines_page() -> ResponseReturnValue:
    """Show every help line with its source, to be confirmed."""
    return _help_lines(Form())


def _help_lines(form: Form) -> str:
    info = get_practice_info()
    confirmed_by = info.practice.help_lines_confirmed_by
    return render_template(
        "settings/help_lines.html",
        form=form,
        help_lines=info.help_lines,
        practice_help_lines=info.own_help_lines,
        country=countries()[info.practice.country],
        kinds=KINDS,
        kind_labels=KIND_LABELS,
        kind_options={kind: KIND_LABELS[kind] for kind in KINDS[1:]},
        confirmed_by=get_user_names({confirmed_by}).get(confirmed_by) if confirmed_by else None,
        stale_after=STALE_AFTER_DAYS,
    )


@blueprint.post("/settings/numbers")
@needs(Action.PRACTICE_EDIT)
def confirm_help_lines() -> ResponseReturnValue:
    """Record that every help line was checked today."""
    with transaction():
        operations.confirm_help_lines(current_actor())
    flash("help_lines_confirmed")
    return redirect(url_for("settings.help_lines_page"), code=303)


@blueprint.post("/settings/numbers/local")
@needs(Action.PRACTICE_EDIT)
def add_help_line() -> ResponseReturnValue:
    """Add a local help line."""
    try:
        new = read_form(HelpLineSchema())
        with transaction():
            run_form_once(lambda: operations.add_help_line(current_actor(), new))
    except Invalid as error:
        return _help_lines(submitted_form(error)), 422
    flash("help_line_added")
    return redirect(url_for("settings.help_lines_page"), code=303)


@blueprint.post("/settings/numbers/local/<uuid:line_id>/remove")
@needs(Action.PRACTICE_EDIT)
def remove_help_line(line_id: UUID) -> ResponseReturnValue:
    """Remove a local help line."""
    with transaction():
        operations.remove_help_line(current_actor(), line_id)
    flash("help_line_removed")
    return redirect(url_for("settings.help_lines_page"), code=303)
