"""The forms of a page as it shows them: filled from the record, from what was refused, or from what was never sent."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from flask import current_app, request, url_for
from werkzeug.datastructures import MultiDict

from caseapp.core.clock import now
from caseapp.core.errors import Invalid, Reason, RuleBroken, Stale
from caseapp.core.i18n import lazy_gettext
from caseapp.core.ids import new_id
from caseapp.domain.form_drafts.codes import REPLACED
from caseapp.domain.form_drafts.operations import forget_form_drafts
from caseapp.http.form_bodies import Sent, no_lock
from caseapp.http.form_keys import FormKey, open_form_key, seal_form_key
from caseapp.http.form_merge import (
    Base,
    Merged,
    Texts,
    form_value,
    merge,
    sent_texts,
    value_texts,
)
from caseapp.http.guard import current_actor
from caseapp.http.interfaces import find_endpoint
from caseapp.http.request_parsing import COMMON_FIELDS, SECRET_FIELDS, Form
from caseapp.http.template_helpers import zone

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime
    from uuid import UUID

    from caseapp.core.errors import DomainError
    from caseapp.domain.form_drafts.schemas import FormWords
    from caseapp.http.form_routes import FormRoute
    from caseapp.http.forms import FormPage

NOT_SAVED = lazy_gettext("This wasn’t saved")
# Reasons that lie in the form itself, not in what it changes.
ABOUT_FORMS = frozenset({"others_form", "form_expired", "idempotency_key_reused"})


@dataclass(frozen=True)
class Refusal:
    """A form that was sent and not saved: which one, what was in it, and why; no error when it was only looked at."""

    route: FormRoute[Any, Any, Any]
    sent: Sent
    error: DomainError | None

    @property
    def shows_words(self) -> bool:
        """Whether the words are those of the person who reads the page."""
        key = self.sent.key
        return key is None or key.person_id == self.sent.actor.id

    @property
    def reasons(self) -> tuple[Reason, ...]:
        """Why a rule refused the change."""
        return self.error.reasons if isinstance(self.error, RuleBroken) else ()

    @property
    def heading(self) -> str:
        """The heading above the reasons."""
        about_form = {reason.code for reason in self.reasons} & ABOUT_FORMS
        return NOT_SAVED if about_form else self.route.refused

    @property
    def is_stale(self) -> bool:
        """Whether somebody saved a newer version first."""
        return isinstance(self.error, Stale)


@dataclass
class PageForm(Form):
    """A form on a page: its address, its hidden key, and what its fields show.

    `client_id` is the client whom somebody has to see to send it.
    `is_refused` marks the one that was sent, and `sent_version` is the version that it came from. `restored_from` is
    the time of words that were typed and never sent, if the form shows them. `replaced` are the texts that this person
    has replaced in the form after a conflict. `placed` is set once the page shows it.
    """

    action: str = ""
    client_id: UUID | None = None
    key: str = ""
    sent_version: str | None = None
    is_refused: bool = False
    restored_from: datetime | None = None
    replaced: Texts = field(default_factory=dict)
    placed: bool = False

    def place(self) -> str:
        """Note that the page shows this form, and return its key."""
        self.placed = True
        return self.key


@dataclass
class Forms:
    """The forms of one page, filled from the record, from what was sent and refused, or from what was never sent."""

    page: FormPage[Any]
    view: Any
    args: dict[str, Any]
    drafts: dict[str, FormWords]
    refusal: Refusal | None = None
    made: dict[str, PageForm] = field(default_factory=dict)
    heading: str = lazy_gettext("Check your answers")

    def mark(self, name: str, problems: dict[str, list[str]], heading: str) -> None:
        """Mark fields of a form that was not sent, with a heading above them, as a page opened anew may."""
        form = self.get(name)
        form.errors, self.heading = problems, heading

    def get(self, name: str, **more: Any) -> PageForm:  # noqa: ANN401 - arguments of the address
        """Return a form of the page by the name of its function; `more` are the arguments of its own address."""
        route = self.page.forms[name]
        args = {key: self.args[key] for key in self.page.arguments} | more
        address = route.address(args)
        if address not in self.made:
            self.made[address] = self._make(route, args, address, tuple(more.values()))
        return self.made[address]

    def _make(
        self,
        route: FormRoute[Any, Any, Any],
        args: dict[str, Any],
        address: str,
        own: tuple[Any, ...],
    ) -> PageForm:
        values = dict(route.values(self.view, *own)) if route.values else {}
        query = request.query_string.decode("ascii", "replace")
        tail = f"?{query}" if query else ""
        form = PageForm(
            raw={name: form_value(value, zone) for name, value in values.items()},
            suffix="-".join(str(value) for value in own),
            action=url_for(route.endpoint, **args) + tail,
        )
        saved = value_texts(values, zone)
        base = Base.of(saved)
        conflicts: tuple[str, ...] = ()
        if replaced := self.drafts.get(address + REPLACED):
            form.replaced = replaced.words
        refusal = self.refusal
        if refusal and refusal.route.address(refusal.sent.args) == address:
            form.is_refused = True
            if refusal.shows_words:
                base = _fill_again(form, refusal, saved, base)
                conflicts = refusal.sent.key.conflicts if refusal.sent.key else ()
        elif draft := self.drafts.get(address):
            fields = _as_sent(draft.words)
            key = open_form_key(fields.get("form_key", ""))
            merged = _fill_merged(form, fields, key.base if key else base, saved, route.coupled)
            if merged.texts != saved:
                form.restored_from = draft.updated_at
        about = (
            route.client_of(self.view, *own) if route.client_of else self.page.client_of(self.view)
        )
        # What locks nothing changes no record: a search, or a file.
        form.client_id = None if self.page.by_own_right or route.lock is no_lock else about
        form.key = seal_form_key(
            FormKey(
                new_id(),
                current_actor().id,
                about,
                address,
                self.page.address(self.args) + tail,
                now(),
                base,
                tuple({*conflicts, *form.saved}),
            )
        )
        return form

    @property
    def refused(self) -> PageForm | None:
        """The form that was sent and refused, where the page shows it."""
        return next((form for form in self.made.values() if form.is_refused and form.placed), None)

    @property
    def errors(self) -> dict[str, list[str]]:
        """What is wrong with a form: by the id of each field, texts that name it."""
        error = self.refusal.error if self.refusal else None
        marked = next((form for form in self.made.values() if form.errors), PageForm())
        errors = error.fields if isinstance(error, Invalid) else marked.errors
        return {
            marked.field_id(name): [name_field(marked.labels.get(name), text) for text in texts]
            for name, texts in errors.items()
        }

    @property
    def unplaced(self) -> list[tuple[str, str]]:
        """What was typed and has no field on this page as it is now: what each field was called, and its text."""
        found = []
        refusal = self.refusal
        if refusal and refusal.shows_words:
            form = self.refused
            shown = {*form.labels, *form.hidden} if form else set()
            found += refusal.route.list_typed(refusal.sent.fields, shown)
        for address, draft in self.drafts.items():
            if address.endswith(REPLACED):
                continue
            form = self.made.get(address)
            if form is None or not form.placed:
                route = find_route(address)
                found += route.list_typed(_as_sent(draft.words), ()) if route else []
        return [*dict.fromkeys(found)]


def name_field(label: str | None, message: str) -> str:
    """Put what the page calls a field before a message about it, which may stand far from the field."""
    if label is None:
        return message
    return f"{label} {message}" if label.endswith("?") else f"{label}: {message}"


def renew_form_key(values: Mapping[str, object]) -> str:
    """Follow a form that saves itself: forget the words that were kept of it, and return its key for what it has now.

    `values` are those that were saved. Call it inside the transaction that saves them. The key is empty when the form
    had none of this person's.
    """
    key, actor = open_form_key(request.form.get("form_key", "")), current_actor()
    if key is None or key.person_id != actor.id:
        return ""
    forget_form_drafts(actor.id, key.form, key.opened_at)
    return seal_form_key(replace(key, base=Base.of(value_texts(values, zone)), conflicts=()))


def keep_replaced_texts() -> None:
    """Keep what a form that saves itself is about to replace after a conflict; call it after the lock."""
    key, actor = open_form_key(request.form.get("form_key", "")), current_actor()
    if key is not None and key.person_id == actor.id and (route := find_route(key.form)):
        route.keep_replaced(Sent(actor, dict(request.view_args or {}), request.form, key))


def find_route(address: str) -> FormRoute[Any, Any, Any] | None:
    """Find the declared form with an address, which may be one that is no longer there."""
    endpoint = find_endpoint(address, "POST")
    return getattr(current_app.view_functions[endpoint], "form", None) if endpoint else None


def _fill_again(form: PageForm, refusal: Refusal, saved: Texts, base: Base) -> Base:
    """Fill a form with what was sent and refused; return what it is compared with when it is sent again.

    Where the record has changed since, that is the record as it is now: the form then shows what both sides changed.
    Otherwise it stays what the form was first filled with, so that a change by somebody else is still noticed.
    """
    sent, error = refusal.sent, refusal.error
    first = sent.key.base if sent.key else base
    if isinstance(error, Stale):
        _fill_merged(form, sent.fields, first, saved, refusal.route.coupled)
        return base
    form.raw, form.sent_version = _typed_values(form, sent.fields), sent.fields.get("version")
    if isinstance(error, Invalid):
        form.errors = error.fields
    return first


def _fill_merged(
    form: PageForm,
    typed: MultiDict[str, str],
    base: Base,
    saved: Texts,
    coupled: tuple[tuple[str, ...], ...],
) -> Merged:
    """Fill a form with what was typed, merged with what is saved now."""
    texts, names = own_texts(typed), [*form.raw]
    merged = merge(base, texts, saved, names=names, coupled=coupled)
    kept = {name: form.raw[name] for name in names if merged.texts.get(name) != texts.get(name)}
    form.raw, form.saved = _typed_values(form, typed) | kept, merged.saved
    return merged


def _as_sent(words: Mapping[str, Sequence[str]]) -> MultiDict[str, str]:
    return MultiDict((name, text) for name, texts in words.items() for text in texts)


def own_texts(typed: MultiDict[str, str]) -> Texts:
    """Return the texts of a form's own fields, without those that every form has, and without secrets."""
    left_out = COMMON_FIELDS | SECRET_FIELDS
    return {name: texts for name, texts in sent_texts(typed).items() if name not in left_out}


def _typed_values(form: PageForm, typed: MultiDict[str, str]) -> dict[str, Any]:
    """Return what was typed as the fields of a page show it; a field that wasn't sent is empty."""
    empty = {name: [] if isinstance(value, list) else "" for name, value in form.raw.items()}
    return empty | {
        name: texts if len(texts) > 1 else texts[0]
        for name, texts in typed.lists()
        if name not in COMMON_FIELDS | SECRET_FIELDS
    }
