"""A declared form on its way: to its change, back to its page with the words in it, or kept until somebody signs in."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Concatenate, Generic, TypeVar

from flask import g, make_response, redirect, request, url_for
from marshmallow import fields, validate

from caseapp.core.errors import Invalid, NotFound, Reason, RuleBroken, Stale
from caseapp.core.i18n import lazy_gettext
from caseapp.core.idempotency import claim_key, is_claimed
from caseapp.core.schemas import PrintedString, RequiredText
from caseapp.core.transaction import transaction
from caseapp.domain.form_drafts.codes import REPLACED
from caseapp.domain.form_drafts.operations import forget_form_drafts, save_form_draft
from caseapp.http import confirmation
from caseapp.http.errors import STATUS_CODES, record_refused_request
from caseapp.http.form_bodies import Body, Done, Sent, Typed
from caseapp.http.form_keys import FormKey, lock_own_words, open_form_key
from caseapp.http.form_merge import sent_texts, value_texts
from caseapp.http.guard import current_actor
from caseapp.http.page_forms import Forms, Refusal
from caseapp.http.request_parsing import COMMON_FIELDS, SECRET_FIELDS, own_fields, words_to_keep
from caseapp.http.template_helpers import flash, zone

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping
    from uuid import UUID

    from flask.typing import ResponseReturnValue
    from werkzeug.datastructures import MultiDict

    from caseapp.core.actor import Actor
    from caseapp.core.errors import DomainError
    from caseapp.core.idempotency import Claim
    from caseapp.core.permissions import Action
    from caseapp.http.forms import FormPage

View = TypeVar("View")
Locked = TypeVar("Locked")
Loaded = TypeVar("Loaded")

NO_KEY = lazy_gettext("Open the page again and send the form from there.")
OTHERS_FORM = Reason(
    "others_form",
    lazy_gettext("This form was opened by somebody else in this browser."),
    lazy_gettext("Nothing was changed. What they typed is not shown here."),
)
EXPIRED = Reason(
    "form_expired",
    lazy_gettext(
        "This form is from before you last signed in or confirmed who you are, so it wasn’t saved."
    ),
    lazy_gettext("What you typed is still here. Check it and send it again."),
)


@dataclass(eq=False)
class FormRoute(Generic[View, Locked, Loaded]):
    """A declared form: its address, who may send it, what it locks, loads and changes."""

    page: FormPage[View]
    name: str
    rule: str
    action: Action
    body: Callable[[Typed, Locked], Loaded]
    lock: Callable[Concatenate[Actor, ...], Locked]
    change: Callable[[Locked, Loaded, Sent], Any]
    values: Callable[..., Mapping[str, Any]] | None
    client_of: Callable[..., UUID | None] | None
    coupled: tuple[tuple[str, ...], ...]
    refused: str
    labels: Callable[[], Mapping[str, str]]
    part_of: str | None
    sends_file: bool = False

    @property
    def endpoint(self) -> str:
        """The name of the form's address."""
        return f"{self.page.blueprint.name}.{self.name}"

    def address(self, args: Mapping[str, Any]) -> str:
        """Return the address that names the form: of several buttons of one form, the first one's."""
        return url_for(f"{self.page.blueprint.name}.{self.part_of or self.name}", **args)

    def answer(self, **args: Any) -> ResponseReturnValue:  # noqa: ANN401 - arguments of the address
        """Make the change and go on, or show the page again with what was typed.

        Before an action that asks for it, the person may have to confirm first who they are; what they typed is kept
        meanwhile. Raises what the lock raises: NotFound, Forbidden.
        """
        key = self._find_key()
        sent = Sent(current_actor(), args, own_fields(request.form), key)
        # Nobody is asked to confirm a form of somebody else's, whose words the page would show: it is refused below.
        if key and key.person_id == sent.actor.id and confirmation.is_due(self.action):
            page = confirmation.ask(sent, key.page, self.keep_words, sends_file=self.sends_file)
            if page is not None:
                return page
        try:
            return self._respond(sent)
        except (Invalid, RuleBroken, Stale) as error:
            record_refused_request(error)
            if sent.key and sent.key.person_id != sent.actor.id:
                self.keep_words()
            return self.show_again(sent, error, STATUS_CODES[type(error)])

    def _respond(self, sent: Sent) -> ResponseReturnValue:
        done = self._change_once(sent)
        if done.shown:
            return done.shown()
        for code in (done.message or "").split():
            flash(code)
        return redirect(done.location, code=303)

    def _change_once(self, sent: Sent) -> Done:
        """Make the change, or lead to where it led when the form was sent before, even if the record is gone since."""
        with transaction():
            try:
                locked = self.lock(sent.actor, *sent.args.values())
            except NotFound:
                if self.was_accepted() and (claim := self._claim(sent)).location is not None:
                    return Done(claim.location, claim.message)
                raise
            key, claim = _own_key(sent), self._claim(sent)
            if claim.location is not None:
                return Done(claim.location, claim.message)
            typed = Typed(sent.fields, lambda: self._list_exact_times(locked))
            self.keep_replaced(sent)
            done: Done = self.change(locked, self.body(typed, locked), sent)
            claim.settle(location=done.location, message=done.message)
            forget_form_drafts(sent.actor.id, key.form, key.opened_at)
        return done

    def _claim(self, sent: Sent) -> Claim:
        return claim_key(sent.actor.id, self.endpoint, _own_key(sent).id.hex, sent.content)

    def keep_replaced(self, sent: Sent) -> None:
        """Keep the saved texts that a form replaces, its author having seen them, instead of those kept before.

        Call it after the lock and before the change.
        """
        key = sent.key
        if key is None or not key.conflicts or self.values is None:
            return
        own = [value for name, value in sent.args.items() if name not in self.page.arguments]
        saved = value_texts(self.values(self.page.load_view(sent.args), *own), zone)
        typed = sent_texts(sent.fields)
        replaced = {
            name: saved[name]
            for name in key.conflicts
            if name in saved and saved[name] != typed.get(name)
        }
        if replaced:
            lock_own_words(key)
            form, path = key.form + REPLACED, key.page.partition("?")[0]
            forget_form_drafts(key.person_id, form, key.opened_at)
            save_form_draft(key.person_id, path, form, key.client_id, replaced, key.opened_at)

    def _list_exact_times(self, locked: Locked) -> dict[str, datetime]:
        found = self.values(locked) if self.values else {}
        return {name: value for name, value in found.items() if isinstance(value, datetime)}

    def show_again(
        self, sent: Sent, error: DomainError | None, status: HTTPStatus
    ) -> ResponseReturnValue:
        """Show the form's page with what was typed and why it was not saved; no error when it was only looked at.

        Raises what loading the page raises.
        """
        view = self.page.load_view(sent.args)
        forms = Forms(
            self.page, view, sent.args, self.page.list_drafts(sent.args), Refusal(self, sent, error)
        )
        response = make_response(self.page.render(view, forms))
        # A page may lead on to another one, where the record is no longer what it was.
        if response.status_code == HTTPStatus.OK:
            response.status_code = status
        return response

    def show_expired(self) -> ResponseReturnValue | None:
        """Show a form again whose CSRF token has become stale; None when it isn't from one of this person's pages.

        Its key, which no other site can make, shows that it is. Raises what loading the page raises.
        """
        key, actor = self._find_key(), g.get("actor")
        if key is None or actor is None or key.person_id != actor.id or not actor.may(self.action):
            return None
        sent = Sent(actor, dict(request.view_args or {}), request.form, key)
        return self.show_again(sent, RuleBroken(EXPIRED), HTTPStatus.BAD_REQUEST)

    def keep_words(self) -> str | None:
        """Keep what was sent for the person whose form it is, who isn't signed in; return the page to come back to.

        None when the form isn't ours, or its words can't be kept.
        """
        key = self._find_key()
        if key is None:
            return None
        words = words_to_keep(request.form)
        path = key.page.partition("?")[0]
        with transaction():
            lock_own_words(key)
            if is_claimed(key.person_id, key.id.hex):
                return key.page
            kept = save_form_draft(
                key.person_id, path, key.form, key.client_id, words, key.opened_at
            )
        return key.page if kept else None

    def was_accepted(self) -> bool:
        """Tell whether the form has been sent before, and its change made."""
        key = self._find_key()
        return key is not None and is_claimed(key.person_id, key.id.hex)

    def list_words(self) -> list[tuple[str, str]]:
        """List what the person who is signed in has sent, for an error page: each field's label and text."""
        key, actor = self._find_key(), g.get("actor")
        if key is None or actor is None or key.person_id != actor.id:
            return []
        return self.list_typed(request.form, set())

    def list_typed(
        self, form: MultiDict[str, str], shown: Collection[str]
    ) -> list[tuple[str, str]]:
        """List what was typed in the fields of a form, but for those that are `shown`."""
        labels = self.labels()
        return [
            (labels.get(name, name.replace("_", " ").capitalize()), text)
            for name, texts in sent_texts(form).items()
            if name not in COMMON_FIELDS | SECRET_FIELDS
            and name not in shown
            and self.is_free_text(name)
            for text in texts
        ]

    def _find_key(self) -> FormKey | None:
        """Return the key that was sent, if it is one of this form at this address."""
        key = open_form_key(request.form.get("form_key", ""))
        return key if key and key.form == self.address(request.view_args or {}) else None

    def is_free_text(self, name: str) -> bool:
        """Tell whether a field holds words that somebody typed, not a choice, a date or a number."""
        if not isinstance(self.body, Body):
            return True
        kind = self.body.schema().load_fields.get(name.split(".", maxsplit=1)[0])
        if kind is None or isinstance(kind, fields.Dict):
            return True
        has_choices = any(isinstance(each, validate.OneOf) for each in kind.validators)
        is_text = type(kind) is fields.String or isinstance(kind, PrintedString | RequiredText)
        return is_text and not has_choices


def _own_key(sent: Sent) -> FormKey:
    if sent.key is None:
        raise Invalid({"form_key": [NO_KEY]})
    if sent.key.person_id != sent.actor.id:
        raise RuleBroken(OTHERS_FORM)
    return sent.key


class PostRoute(FormRoute[View, None, Loaded]):
    """A form whose function answers by itself: with a page or a file, or after changes in transactions of its own."""

    def _respond(self, sent: Sent) -> ResponseReturnValue:
        key = _own_key(sent)
        body = self.body(Typed(sent.fields, dict), None)
        response = make_response(self.change(None, body, sent))
        if response.location:
            with transaction():
                forget_form_drafts(sent.actor.id, key.form, key.opened_at)
        return response
