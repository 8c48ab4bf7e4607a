"""The one way from a form to a change and back: a page object declares its page and its forms by decorated functions.

A form's change runs in one transaction: lock, then the form's key, then what was typed, then the change. Whatever is
refused on the way leads back to the page with the words in it, and nothing else does.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from datetime import datetime
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Concatenate, Generic, TypeVar

from flask import current_app, g, make_response, redirect, request, url_for
from marshmallow import Schema, fields, validate
from werkzeug.datastructures import MultiDict

from caseapp.core.clock import now
from caseapp.core.errors import Invalid, Reason, RuleBroken, Stale
from caseapp.core.i18n import lazy_gettext
from caseapp.core.idempotency import claim_key, is_claimed
from caseapp.core.ids import new_id
from caseapp.core.schemas import PrintedString
from caseapp.core.transaction import transaction
from caseapp.domain.form_drafts.operations import forget_form_drafts, save_form_draft
from caseapp.domain.form_drafts.queries import list_form_drafts
from caseapp.http.errors import STATUS_CODES, record_refused_request
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
from caseapp.http.request_parsing import (
    COMMON_FIELDS,
    Form,
    load_form,
    parse_version,
)
from caseapp.http.template_helpers import flash, zone

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence
    from uuid import UUID

    from flask import Blueprint
    from flask.typing import ResponseReturnValue

    from caseapp.core.actor import Actor
    from caseapp.core.errors import DomainError
    from caseapp.core.permissions import Action
    from caseapp.domain.form_drafts.schemas import FormWords

View = TypeVar("View")
Locked = TypeVar("Locked")
Loaded = TypeVar("Loaded")

ARGUMENT = re.compile(r"<(?:[^<>:]+:)?(\w+)>")
NOT_SAVED = lazy_gettext("This wasn’t saved")
# Reasons that lie in the form itself, not in what it changes.
ABOUT_FORMS = frozenset({"others_form", "form_expired", "idempotency_key_reused"})
NO_KEY = lazy_gettext("Open the page again and send the form from there.")
OTHERS_FORM = Reason(
    "others_form",
    lazy_gettext("This form was opened by somebody else in this browser."),
    lazy_gettext("Nothing was changed. What they typed is not shown here."),
)
EXPIRED = Reason(
    "form_expired",
    lazy_gettext("This form was open for a long time, so it wasn't saved."),
    lazy_gettext("What you typed is still here. Check it and send it again."),
)


@dataclass(frozen=True)
class Done:
    """A change that was made: where to go next, and the codes of the messages to show there, with blanks between.

    `shown` renders an answer that is given only once, such as new codes; a form that is sent twice leads to `location`.
    """

    location: str
    message: str | None = None
    shown: Callable[[], ResponseReturnValue] | None = None


@dataclass(frozen=True)
class Sent:
    """A form as it was sent: by whom, to which address, and its fields."""

    actor: Actor
    args: dict[str, Any]
    fields: MultiDict[str, str]
    key: FormKey | None

    @property
    def version(self) -> int:
        """The version of the record that the form was made from.

        Raises Invalid when the form has none.
        """
        return parse_version(self.fields.get("version", ""))


@dataclass(frozen=True)
class Typed:
    """The fields of a form on their way through a schema; `list_exact` returns the stored times that some show."""

    fields: MultiDict[str, str]
    list_exact: Callable[[], Mapping[str, datetime]]

    def load(self, *schemas: Schema) -> list[Any]:
        """Load the fields through schemas, each taking its own.

        Raises Invalid naming each field.
        """
        has_times = any(
            isinstance(kind, fields.AwareDateTime)
            for schema in schemas
            for kind in schema.load_fields.values()
        )
        if not has_times:
            return load_form(self.fields, *schemas)
        return load_form(self.fields, *schemas, zone=zone(), exact=self.list_exact())


@dataclass(frozen=True)
class Body(Generic[Loaded]):
    """The body of a form: a schema, and the type that it loads into."""

    schema: Callable[[], Schema]
    loads: type[Loaded]

    def __call__(self, typed: Typed, _locked: object) -> Loaded:
        """Load what was typed.

        Raises Invalid naming each field.
        """
        (loaded,) = typed.load(self.schema())
        return loaded  # type: ignore[no-any-return]


def no_lock(_actor: Actor, *_args: object) -> None:
    """Lock nothing, for a form that changes no record that exists."""


def any_body(_typed: Typed, _locked: object) -> None:
    """Load nothing of a form, for a button beside fields that don't matter to it."""


BUTTON = Body(Schema, dict[str, Any])
"""The body of a form that is only a button."""


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

    @property
    def endpoint(self) -> str:
        """The name of the form's address."""
        return f"{self.page.blueprint.name}.{self.name}"

    def address(self, args: Mapping[str, Any]) -> str:
        """Return the address that names the form: of several buttons of one form, the first one's."""
        return url_for(f"{self.page.blueprint.name}.{self.part_of or self.name}", **args)

    def answer(self, **args: Any) -> ResponseReturnValue:  # noqa: ANN401 - arguments of the address
        """Make the change and go on, or show the page again with what was typed.

        Raises what the lock raises: NotFound, Forbidden.
        """
        sent = Sent(current_actor(), args, request.form, self._find_key())
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
        with transaction():
            locked = self.lock(sent.actor, *sent.args.values())
            key = _own_key(sent)
            content = sorted(
                (name, texts)
                for name, texts in sent.fields.lists()
                if name not in {"csrf_token", "form_key"}
            )
            claim = claim_key(sent.actor.id, self.endpoint, key.id.hex, content)
            if claim.location is not None:
                return Done(claim.location, claim.message)
            typed = Typed(sent.fields, lambda: self._list_exact_times(locked))
            done: Done = self.change(locked, self.body(typed, locked), sent)
            claim.settle(location=done.location, message=done.message)
            forget_form_drafts(sent.actor.id, key.form, key.opened_at)
        return done

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
        words = {name: texts for name, texts in request.form.lists() if name != "csrf_token"}
        path = key.page.partition("?")[0]
        with transaction():
            if is_claimed(key.person_id, key.id.hex):
                return key.page
            kept = save_form_draft(
                key.person_id, path, key.form, key.client_id, words, key.opened_at
            )
        return key.page if kept else None

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
            if name not in COMMON_FIELDS and name not in shown and self.is_free_text(name)
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
        return type(kind) in {fields.String, PrintedString} and not has_choices


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

    `is_refused` marks the one that was sent, and `sent_version` is the version that it came from. `restored_from` is
    the time of words that were typed and never sent, if the form shows them. `placed` is set once the page shows it.
    """

    action: str = ""
    key: str = ""
    sent_version: str | None = None
    is_refused: bool = False
    restored_from: datetime | None = None
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
        refusal = self.refusal
        if refusal and refusal.route.address(refusal.sent.args) == address:
            form.is_refused = True
            if refusal.shows_words:
                base = _fill_again(form, refusal, saved, base)
        elif draft := self.drafts.get(address):
            fields = _as_sent(draft.words)
            key = open_form_key(fields.get("form_key", ""))
            merged = _fill_merged(form, fields, key.base if key else base, saved, route.coupled)
            if merged.texts != saved:
                form.restored_from = draft.updated_at
        form.key = seal_form_key(
            FormKey(
                new_id(),
                current_actor().id,
                route.client_of(self.view, *own)
                if route.client_of
                else self.page.client_of(self.view),
                address,
                self.page.address(self.args) + tail,
                now(),
                base,
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
    return seal_form_key(replace(key, base=Base.of(value_texts(values, zone))))


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
    """Return the texts of a form's own fields, without those that every form has."""
    return {name: texts for name, texts in sent_texts(typed).items() if name not in COMMON_FIELDS}


def _typed_values(form: PageForm, typed: MultiDict[str, str]) -> dict[str, Any]:
    """Return what was typed as the fields of a page show it; a field that wasn't sent is empty."""
    empty = {name: [] if isinstance(value, list) else "" for name, value in form.raw.items()}
    return empty | {
        name: texts if len(texts) > 1 else texts[0]
        for name, texts in typed.lists()
        if name not in COMMON_FIELDS
    }


class FormPage(Generic[View]):
    """A page with forms: its address, who may open it, and how to load what it shows.

    `client_of` returns the client whom the page is about, since what is typed there belongs under the client's key.
    """

    def __init__(
        self,
        blueprint: Blueprint,
        rule: str,
        action: Action,
        load: Callable[..., View],
        *,
        client_of: Callable[[View], UUID | None] = lambda _view: None,
    ) -> None:
        """Take what `show` and `form` need; `load` gets the arguments of the address by name."""
        self.blueprint, self.rule, self.action = blueprint, rule, action
        self.load, self.client_of = load, client_of
        self.arguments = ARGUMENT.findall(rule)
        self.forms: dict[str, FormRoute[View, Any, Any]] = {}

    def show(
        self, render: Callable[[View, Forms], ResponseReturnValue]
    ) -> Callable[[View, Forms], ResponseReturnValue]:
        """Declare how the page is shown: opened anew, and after a form of it was refused."""
        self.render, self.name = render, render.__name__

        def answer(**args: Any) -> ResponseReturnValue:  # noqa: ANN401 - arguments of the address
            view = self.load_view(args)
            return render(view, self.open_forms(view, args))

        answer.__doc__ = render.__doc__
        answer.action = self.action  # type: ignore[attr-defined]
        self.blueprint.add_url_rule(self.rule, self.name, answer, methods=["GET"])
        return render

    def form(
        self,
        action: Action,
        body: Callable[[Typed, Locked], Loaded],
        *,
        lock: Callable[Concatenate[Actor, ...], Locked],
        rule: str | None = None,
        values: Callable[..., Mapping[str, Any]] | None = None,
        client_of: Callable[..., UUID | None] | None = None,
        coupled: tuple[tuple[str, ...], ...] = (),
        refused: str = NOT_SAVED,
        labels: Callable[[], Mapping[str, str]] = dict,
        part_of: str | None = None,
    ) -> Callable[[Callable[[Locked, Loaded, Sent], Done]], Callable[[Locked, Loaded, Sent], Done]]:
        """Declare a form of the page by the function that makes its change.

        `body` loads what was typed, and `lock` gets the actor and the arguments of the address, in their order; what it
        returns was read after the lock, and is the first argument of the change. `values` returns the fields of an
        untouched form, from the page's view (with the further arguments of the form's address) or from the locked
        record. `client_of` returns the client whom the form is about, from the same, where the page isn't about one.
        `coupled` are groups of fields that belong together when two people have changed them. `refused` is the
        heading above the reasons of a refusal, `labels` names fields that the page may no longer have, and `part_of`
        names the form of which this one is a second button.
        """

        def declare(
            change: Callable[[Locked, Loaded, Sent], Done],
        ) -> Callable[[Locked, Loaded, Sent], Done]:
            self._add(
                FormRoute(
                    self,
                    change.__name__,
                    rule or self.rule,
                    action,
                    body,
                    lock,
                    change,
                    values,
                    client_of,
                    coupled,
                    refused,
                    labels,
                    part_of,
                ),
                change.__doc__,
            )
            return change

        return declare

    def post(
        self,
        action: Action,
        body: Callable[[Typed, None], Loaded],
        *,
        rule: str,
        refused: str = NOT_SAVED,
        part_of: str | None = None,
    ) -> Callable[
        [Callable[[Loaded, Sent], ResponseReturnValue]],
        Callable[[Loaded, Sent], ResponseReturnValue],
    ]:
        """Declare a form of the page by a function that answers by itself, outside a transaction.

        It is for what changes nothing (a preview, a file) or changes one record after another, each in a transaction of
        its own. It may run again when the form is sent twice. What was typed counts as done once it leads to another
        page. The rest is as in `form`.
        """

        def declare(
            view: Callable[[Loaded, Sent], ResponseReturnValue],
        ) -> Callable[[Loaded, Sent], ResponseReturnValue]:
            self._add(
                PostRoute(
                    self,
                    view.__name__,
                    rule,
                    action,
                    body,
                    no_lock,
                    lambda _locked, loaded, sent: view(loaded, sent),
                    None,
                    None,
                    (),
                    refused,
                    dict,
                    part_of,
                ),
                view.__doc__,
            )
            return view

        return declare

    def _add(self, route: FormRoute[View, Any, Any], doc: str | None) -> None:
        def answer(**args: Any) -> ResponseReturnValue:  # noqa: ANN401 - arguments of the address
            return route.answer(**args)

        self.forms[route.name] = route
        answer.__doc__ = doc
        answer.action, answer.form = route.action, route  # type: ignore[attr-defined]
        self.blueprint.add_url_rule(route.rule, route.name, answer, methods=["POST"])

    def load_view(self, args: Mapping[str, Any]) -> View:
        """Load what the page shows; of the address of a form, only the page's own arguments count."""
        return self.load(**{name: args[name] for name in self.arguments})

    def open_forms(self, view: View, args: Mapping[str, Any]) -> Forms:
        """Return the page's forms as they are when it is opened anew."""
        return Forms(self, view, dict(args), self.list_drafts(args))

    def list_drafts(self, args: Mapping[str, Any]) -> dict[str, FormWords]:
        """List what the person typed in the page's forms and did not send, by the form's address."""
        return list_form_drafts(current_actor().id, self.address(args))

    def address(self, args: Mapping[str, Any]) -> str:
        """Return the page's path."""
        return url_for(
            f"{self.blueprint.name}.{self.name}", **{name: args[name] for name in self.arguments}
        )
