"""Rules of access: invitations, ways in, new PINs, and when staff confirm who they are. Pure functions."""

from __future__ import annotations

from datetime import timedelta
from enum import StrEnum
from typing import TYPE_CHECKING

from caseapp.core.errors import Forbidden, Reason, refuse_for
from caseapp.core.i18n import gettext, lazy_gettext
from caseapp.core.permissions import CONFIRMED_ACTIONS, Role
from caseapp.domain.clients.rules import (
    is_contact_frozen,
    list_channel_blockers,
    may_be_mailed,
)

if TYPE_CHECKING:
    from collections.abc import Collection
    from datetime import datetime
    from uuid import UUID

    from caseapp.core.actor import Actor
    from caseapp.core.permissions import Action
    from caseapp.domain.clients.queries import ClientRecord, LockedClient

LINK_LIFETIME = timedelta(minutes=15)
START_CODE_LIFETIME = timedelta(days=14)
"""How long a start code that the coach has handed over can be used; awaiting sign-off."""
RESET_LIFETIME = timedelta(minutes=60)
PASSWORD_LINK_LIFETIMES = {
    "invitation": timedelta(hours=72),
    "reset": RESET_LIFETIME,
    "reset_code": RESET_LIFETIME,
}
"""How long a link or code for choosing a password works, by kind; issue 12 sets the times."""
ADDRESS_WAIT = timedelta(hours=24)
"""How long after a change of the address no link or code replaces the password; awaiting sign-off."""
CONFIRM_AFTER = timedelta(minutes=5)
FACTOR_WAIT = timedelta(minutes=10)
PIN_LENGTH = 6
DEVICE_LIFETIME = timedelta(days=90)
"""How long a device is remembered on which a client comes in with their PIN alone; awaiting sign-off."""
MOST_DEVICES = 5
"""How many devices of a client are remembered at a time; awaiting sign-off."""
# What has to be safe for a client to come in by a mailed link, by a card that the coach handed over, or on a remembered
# device.
CHANNELS_BY_WAY = {"link": ("portal", "email"), "card": ("portal",), "device": ("portal",)}
NOT_REMEMBERED = Reason(
    "device_not_remembered",
    lazy_gettext("This phone or computer can’t be remembered right now."),
    lazy_gettext("Come back with a link or your card, as before."),
)
OUT_OF_REACH = "A token can’t make an admin or change an admin’s account. Sign in to do that."
PIN_NEEDED = Reason(
    "pin_needed", lazy_gettext("Your PIN is missing."), lazy_gettext("Enter your PIN first.")
)


def needs_confirmation(action: Action, authenticated_at: datetime, moment: datetime) -> bool:
    """Tell whether somebody who last showed then who they are has to do so again before an action.

    What is highly sensitive asks again for who somebody is, at most five minutes after the last time (OWASP ASVS 5.0,
    7.5.1 and 7.5.3).
    """
    return action in CONFIRMED_ACTIONS and moment - authenticated_at > CONFIRM_AFTER


def require_reach(actor: Actor, *roles: str) -> None:
    """Require that whoever acts by a token makes no admin and changes the account of none.

    `roles` are those that the account has and is to have. Otherwise a token would be worth as much as all that its
    scopes leave out. Raises Forbidden.
    """
    if actor.scopes is not None and Role.ADMIN in roles:
        raise Forbidden(OUT_OF_REACH)


def lacks_factor(role: str, roles: Collection[str], *, has_factor: bool) -> bool:
    """Tell whether somebody of this role has to set up a second factor first, since the practice requires it."""
    return role in roles and not has_factor


def is_wait_over(began_at: datetime, moment: datetime) -> bool:
    """Tell whether a sign-in has waited too long for a second factor to go on."""
    return moment - began_at > FACTOR_WAIT


class SignInStep(StrEnum):
    """The next step of a client who is signing in."""

    CHOOSE_PIN = "choose_pin"
    ENTER_PIN = "enter_pin"
    FIRST_VISIT = "first_visit"


def check_invitation(client: LockedClient, flags: Collection[str]) -> None:
    """Check that a client with these active flags can be invited to the portal now.

    Raises RuleBroken.
    """
    refuse_for(list_channel_blockers(client.record, flags, "portal"))


def choose_way(client: ClientRecord, flags: Collection[str]) -> str:
    """Return the way in of an invitation: a mailed `link` where email is safe, else a printed `card`."""
    return "link" if may_be_mailed(client, flags) else "card"


def may_enter(way: str, client: ClientRecord, flags: Collection[str]) -> bool:
    """Tell whether a link, a card or a remembered device opens the portal now: all that it needs has to be safe still.

    A link doesn't open it either while nothing may be sent to the client: somebody else may have read the mail. A card,
    which was handed over in person, and a device, which the client chose inside, go on working: whoever looks on must
    not see by the portal that something was recorded.
    """
    if way == "link" and is_contact_frozen(flags, client.contact_confirmed_at):
        return False
    return all(client.safe.allows(channel) for channel in CHANNELS_BY_WAY[way])


def list_remembering_blockers(
    client: ClientRecord, flags: Collection[str], *, is_others: bool
) -> list[Reason]:
    """List why a client's device can't be remembered now: it would open nothing, or is remembered for another client.

    `is_others` says the latter: that client would find their PIN useless there without knowing why. What is read is the
    same for every cause, so that somebody who looks on learns nothing of it.
    """
    return [NOT_REMEMBERED] if is_others or not may_enter("device", client, flags) else []


def needs_other_person(way: str, *, had_pin: bool) -> bool:
    """Tell whether somebody other than the maker of the start code has to make the card that goes with it.

    Whoever knows both comes in as the client. A client who has never had a PIN has nothing in the portal that is their
    own yet; a mailed link is read by the client only.
    """
    return way == "card" and had_pin


def list_card_blockers(actor_id: UUID, start_code_by: UUID | None) -> list[Reason]:
    """List why somebody can't make the card that goes with a client's start code.

    `start_code_by` is who has made that one, None when no card is missing.
    """
    if start_code_by is None:
        return [Reason("card_not_missing", "No card is missing.", "Create new codes.")]
    if start_code_by == actor_id:
        return [
            Reason(
                "other_person_needed",
                "You made the start code, so somebody else has to make the card.",
                "Ask a colleague who sees this client, or a supervisor, to open this page.",
            )
        ]
    return []


def is_start_code_over(invited_at: datetime, moment: datetime) -> bool:
    """Tell whether the start code of an invitation can't be used any more."""
    return moment > invited_at + START_CODE_LIFETIME


def derive_sign_in_step(*, pin_verified: bool, has_pin: bool) -> SignInStep:
    """Derive the next step of a client who has redeemed a link or a card and has not read the first page yet."""
    if pin_verified:
        return SignInStep.FIRST_VISIT
    return SignInStep.ENTER_PIN if has_pin else SignInStep.CHOOSE_PIN


def find_pin_error(pin: str) -> str | None:
    """Return what is wrong with a new PIN, or None."""
    if len(pin) != PIN_LENGTH or not pin.isascii() or not pin.isdigit():
        return gettext("Choose six digits.")
    if len(set(pin)) < 3 or pin in "01234567890" or pin in "09876543210":  # noqa: PLR2004
        return gettext("Choose digits that are harder to guess.")
    return None
