"""The guard: every view declares the action it needs or that it is public; otherwise the application doesn't start."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from flask import current_app, g, request

from caseapp.core.actor import require
from caseapp.core.errors import FactorNeeded, Unauthenticated

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from flask import Flask
    from werkzeug.routing import Rule

    from caseapp.core.actor import Actor
    from caseapp.core.permissions import Action

View = TypeVar("View", bound="Callable[..., Any]")

LOGGED_AS = {
    "process_notes.process_note": "notes.new_note_page",
    "process_notes.save": "notes.create",
}
"""Pages that no log tells from another page: by their endpoints, those that logs name instead."""
LOGGED_WHEN_DONE = {"process_notes.save": "form_drafts.discard"}
"""The same for forms that were accepted: a note that was started has an event, words that were discarded have none."""


class UndeclaredView(Exception):
    """At least one view declares neither an action nor that it is public; the message lists them all."""


def needs(action: Action) -> Callable[[View], View]:
    """Declare the action that a view needs; the guard checks it before the view runs."""

    def declare(view: View) -> View:
        view.action = action  # type: ignore[attr-defined]
        return view

    return declare


def public(why: str) -> Callable[[View], View]:
    """Declare that a view serves anybody; `why` is the reason, for readers."""

    def declare(view: View) -> View:
        view.public = why  # type: ignore[attr-defined]
        return view

    return declare


def iter_routes(app: Flask) -> Iterator[tuple[Rule, str, Callable[..., Any]]]:
    """Yield every URL rule and method with the function that answers it."""
    for rule in app.url_map.iter_rules():
        view = app.view_functions[rule.endpoint]
        for method in sorted(rule.methods or ()):
            if method == "OPTIONS":
                continue
            handler: Any = view
            if view_class := getattr(view, "view_class", None):
                handler = getattr(view_class, "get" if method == "HEAD" else method.lower())
            yield rule, method, handler


def check_declared(app: Flask) -> None:
    """Check that every view is declared; runs at start.

    Raises UndeclaredView.
    """
    undeclared = sorted(
        f"{method} {rule.rule} ({rule.endpoint})"
        for rule, method, view in iter_routes(app)
        if not hasattr(view, "action") and not hasattr(view, "public")
    )
    if undeclared:
        raise UndeclaredView("No action and not public: " + "; ".join(undeclared))


def current_view() -> Callable[..., Any] | None:
    """Return the function that answers the current request, or None for an unknown address."""
    if request.endpoint is None:
        return None
    view: Any = current_app.view_functions.get(request.endpoint)
    if view_class := getattr(view, "view_class", None):
        method = "get" if request.method == "HEAD" else request.method.lower()
        return getattr(view_class, method, None)
    return view  # type: ignore[no-any-return]


def logged_endpoint(*, is_done: bool = False) -> str | None:
    """Return the endpoint of the current request as logs name it, or None for an unknown address.

    `is_done` says that a form was accepted.
    """
    endpoint = request.endpoint
    if endpoint is None:
        return None
    if is_done and endpoint in LOGGED_WHEN_DONE:
        return LOGGED_WHEN_DONE[endpoint]
    return LOGGED_AS.get(endpoint, endpoint)


def check_action() -> None:
    """Check that the actor may take the action that the current view declares.

    Raises Unauthenticated or Forbidden; FactorNeeded for a token whose owner must have a second factor and has none.
    """
    view = current_view()
    action: Action | None = getattr(view, "action", None)
    if action is None:
        return
    require(current_actor(), action)
    if g.get("owner_lacks_factor"):
        raise FactorNeeded


def current_actor() -> Actor:
    """Return the actor of the current request.

    Raises Unauthenticated when nobody is signed in.
    """
    actor: Actor | None = g.get("actor")
    if actor is None:
        raise Unauthenticated
    return actor
