"""Consent: the practice's texts in the settings, and what a case's client has given and withdrawn."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from flask import Blueprint, render_template, request, url_for

from caseapp.core.i18n import LANGUAGES
from caseapp.core.pagination import PAGE_SIZE
from caseapp.core.permissions import Action
from caseapp.domain.cases.queries import LockedCase, lock_case
from caseapp.domain.clients.codes import CONSENT_METHODS
from caseapp.domain.consent.codes import MAX_TEXT, MAX_WORDS
from caseapp.domain.consent.operations import (
    mark_consent_in_error,
    publish_text,
    record_consent,
    withdraw_consent,
)
from caseapp.domain.consent.queries import (
    LockedConsent,
    LockedTexts,
    list_consents,
    list_texts,
    lock_consent,
    lock_texts,
)
from caseapp.domain.consent.rules import choose_text
from caseapp.domain.consent.schemas import (
    ConsentErrorSchema,
    ConsentWithdrawal,
    ConsentWithdrawalSchema,
    NewConsent,
    NewConsentSchema,
    NewConsentText,
    NewConsentTextSchema,
)
from caseapp.http.forms import Body, Done, FormPage, Forms, Sent
from caseapp.http.guard import current_actor
from caseapp.http.template_helpers import current_practice
from caseapp.web.case_header import load_case_context, lock_in_case

if TYPE_CHECKING:
    from caseapp.core.pagination import Page
    from caseapp.domain.consent.schemas import ConsentRecord, ConsentTextRecord
    from caseapp.domain.dashboard.case_page import CasePage

blueprint = Blueprint("consent", __name__)


@dataclass(frozen=True)
class ConsentPage:
    """A case with a page of the entries about its client's consent, and the practice's texts, newest first."""

    context: CasePage
    entries: Page[ConsentRecord]
    texts: list[ConsentTextRecord]


def load_consent(number: str) -> ConsentPage:
    """Load what is recorded about a client's consent and record that it was read.

    Raises NotFound.
    """
    actor, context = current_actor(), load_case_context(number)
    cursor = request.args.get("cursor")
    entries = list_consents(actor, context.case.client_id, cursor, PAGE_SIZE)
    return ConsentPage(context, entries, list_texts(actor))


page = FormPage(
    blueprint,
    "/case/<string:number>/consent",
    Action.CONSENT_READ,
    load_consent,
    client_of=lambda view: view.context.case.client_id,
)


@page.show
def consent_page(view: ConsentPage, forms: Forms) -> str:
    """Show how a client's consent stands, the forms to record it or its withdrawal, and the entries."""
    client = view.context.client
    language = client.language or current_practice().language
    chosen = choose_text(view.texts, language)
    return render_template(
        "consent/consent.html",
        context=view.context,
        tab="Consent",
        page=view.entries,
        forms=forms,
        chosen_text=chosen.id if chosen else "",
        texts={str(text.id): text.label for text in view.texts},
        published=view.texts,
        languages=LANGUAGES,
        methods=CONSENT_METHODS,
        max_words=MAX_WORDS,
    )


@page.form(
    Action.CONSENT_WRITE,
    Body(NewConsentSchema, NewConsent),
    lock=lock_case,
)
def give(case: LockedCase, new: NewConsent, sent: Sent) -> Done:
    """Record that the client gave consent."""
    record_consent(sent.actor, case.locked_client, new)
    return Done(url_for("consent.consent_page", **sent.args), "consent_recorded")


@page.form(
    Action.CONSENT_WRITE,
    Body(ConsentWithdrawalSchema, ConsentWithdrawal),
    lock=lock_case,
    rule="/case/<string:number>/consent/withdrawal",
    refused="The withdrawal was not recorded",
)
def withdraw(case: LockedCase, new: ConsentWithdrawal, sent: Sent) -> Done:
    """Record that the client withdrew consent."""
    withdraw_consent(sent.actor, case.locked_client, new)
    return Done(url_for("consent.consent_page", **sent.args), "consent_withdrawn")


@page.form(
    Action.CONSENT_WRITE,
    Body(ConsentErrorSchema, str),
    lock=lock_in_case(lock_consent, lambda consent: consent.client.id),
    rule="/case/<string:number>/consent/<uuid:consent_id>/error",
    refused="The entry was not marked",
)
def mark_error(consent: LockedConsent, reason: str, sent: Sent) -> Done:
    """Mark an entry as recorded in error."""
    mark_consent_in_error(sent.actor, consent, reason)
    return Done(url_for("consent.consent_page", number=sent.args["number"]), "consent_in_error")


settings = FormPage(
    blueprint,
    "/settings/consent",
    Action.CONSENT_TEXT_PUBLISH,
    lambda: list_texts(current_actor()),
)


@settings.show
def texts_page(texts: list[ConsentTextRecord], forms: Forms) -> str:
    """Show the practice's consent texts, the newest version first, and the form to publish one."""
    return render_template(
        "settings/consent.html",
        forms=forms,
        texts=texts,
        languages=LANGUAGES,
        max_text=MAX_TEXT,
    )


@settings.form(
    Action.CONSENT_TEXT_PUBLISH,
    Body(NewConsentTextSchema, NewConsentText),
    lock=lock_texts,
    refused="The text was not published",
)
def publish(texts: LockedTexts, new: NewConsentText, sent: Sent) -> Done:
    """Publish a text."""
    publish_text(sent.actor, texts, new)
    return Done(url_for("consent.texts_page"), "consent_text_published")
