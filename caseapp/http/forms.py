"""The one way from a form to a change and back: a page object declares its page and its forms by decorated functions.

A form's change runs in one transaction: lock, then the form's key, then what was typed, then the change. Whatever is
refused on the way leads back to the page with the words in it, and nothing else does.
"""

from __future__ import annotations

import re
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any, Concatenate, Generic, TypeVar

from flask import url_for

from caseapp.core.transaction import reading_for_change
from caseapp.domain.form_drafts.queries import list_form_drafts
from caseapp.http.form_bodies import BUTTON, Body, Done, Sent, Typed, any_body, no_lock
from caseapp.http.form_routes import FormRoute, PostRoute
from caseapp.http.guard import current_actor
from caseapp.http.page_forms import NOT_SAVED, Forms, keep_replaced_texts, renew_form_key

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from uuid import UUID

    from flask import Blueprint
    from flask.typing import ResponseReturnValue

    from caseapp.core.actor import Actor
    from caseapp.core.permissions import Action
    from caseapp.domain.form_drafts.schemas import FormWords

__all__ = [
    "ARGUMENT",
    "BUTTON",
    "Body",
    "Done",
    "FormPage",
    "FormRoute",
    "Forms",
    "PostRoute",
    "Sent",
    "Typed",
    "any_body",
    "keep_replaced_texts",
    "no_lock",
    "renew_form_key",
]

View = TypeVar("View")
Locked = TypeVar("Locked")
Loaded = TypeVar("Loaded")

ARGUMENT = re.compile(r"<(?:[^<>:]+:)?(\w+)>")


class FormPage(Generic[View]):
    """A page with forms: its address, who may open it, and how to load what it shows.

    `client_of` returns the client whom the page is about, since what is typed there belongs under the client's key.
    `only_asks` says that the page is there for its forms alone: it finds only what a change of theirs would find.
    `by_own_right` says that a right of its own opens page and forms, whether or not somebody sees the client.
    """

    def __init__(
        self,
        blueprint: Blueprint,
        rule: str,
        action: Action,
        load: Callable[..., View],
        *,
        client_of: Callable[[View], UUID | None] = lambda _view: None,
        only_asks: bool = False,
        by_own_right: bool = False,
    ) -> None:
        """Take what `show` and `form` need; `load` gets the arguments of the address by name."""
        self.blueprint, self.rule, self.action = blueprint, rule, action
        self.load, self.client_of = load, client_of
        self.only_asks, self.by_own_right = only_asks, by_own_right
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
        sends_file: bool = False,
    ) -> Callable[
        [Callable[[Loaded, Sent], ResponseReturnValue]],
        Callable[[Loaded, Sent], ResponseReturnValue],
    ]:
        """Declare a form of the page by a function that answers by itself, outside a transaction.

        It is for what changes nothing (a preview, a file) or changes one record after another, each in a transaction of
        its own. It may run again when the form is sent twice. What was typed counts as done once it leads to another
        page. `sends_file` says that it always answers with a file, which leaves the browser on the page that it was
        sent from. The rest is as in `form`.
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
                    sends_file,
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
        with reading_for_change() if self.only_asks else nullcontext():
            return self.load(**{name: args[name] for name in self.arguments})

    def open_forms(self, view: View, args: Mapping[str, Any]) -> Forms:
        """Return the page's forms as they are when it is opened anew."""
        return Forms(self, view, dict(args), self.list_drafts(args))

    def list_drafts(self, args: Mapping[str, Any]) -> dict[str, FormWords]:
        """List what the person typed in the page's forms and did not send, by the form's address."""
        actor = current_actor()
        return list_form_drafts(actor.id, self.address(args), actor.writing)

    def address(self, args: Mapping[str, Any]) -> str:
        """Return the page's path."""
        return url_for(
            f"{self.blueprint.name}.{self.name}", **{name: args[name] for name in self.arguments}
        )
