"""Accepting an invitation at the practice's OpenID provider: the account there is linked, and no password is chosen."""

from __future__ import annotations

from typing import TYPE_CHECKING

from caseapp.core.permissions import Action
from caseapp.domain.audit.operations import record
from caseapp.domain.auth.identities import add_identity
from caseapp.domain.auth.password_links import OpenLink, open_link, use_up
from caseapp.domain.auth.passwords import end_access
from caseapp.domain.auth.provider_sign_in import sign_in

if TYPE_CHECKING:
    from caseapp.domain.auth.identities import Vouched


def check_invitation(secret: str, address: str) -> OpenLink:
    """Find whose invitation a link or code is; one for a forgotten password links nothing.

    Raises Unauthenticated, and TooManyAttempts for a wrong one while the limit makes wrong ones wait.
    """
    return open_link(secret, address, "invitation")


def accept_invitation(link: OpenLink, vouched: Vouched) -> str:
    """Use up an invitation and link an identity to the invited account; return the token of its owner's session.

    The invitation says whose account it is; what the provider says about names and addresses doesn't count. Raises
    RuleBroken when the identity belongs to somebody else, and Unauthenticated when the invitation has ended.
    """
    actor = link.actor
    use_up(link)
    add_identity(actor.id, vouched)
    end_access(actor.id)
    details = {"identity": "linked", "by": link.kind}
    record(actor, Action.IDENTITY_LINK, "user", actor.id, details=details)
    return sign_in(vouched)
