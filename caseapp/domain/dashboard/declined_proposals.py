"""Items that coaches wrote are no concerns, for whoever supervises them."""

from __future__ import annotations

import sqlalchemy as sa

from caseapp.core.actor import Actor, require
from caseapp.core.clock import now
from caseapp.core.database import db
from caseapp.core.permissions import Action
from caseapp.core.reads import note_shown
from caseapp.domain.cases.models import Case
from caseapp.domain.cases.queries import newest_case_id
from caseapp.domain.clients.models import Client
from caseapp.domain.clients.visibility import looks_after_client
from caseapp.domain.dashboard.schemas import DeclinedProposal
from caseapp.domain.keys.models import ClientKey
from caseapp.domain.keys.queries import open_listed_client_key
from caseapp.domain.screening.current import SAFETY_COLUMNS, join_safety, safety_from_row
from caseapp.domain.screening.marks import DECLINED, list_marks
from caseapp.domain.screening.proposals import list_coming_proposals
from caseapp.domain.screening.protocol import PROPOSED_AGAIN_AFTER
from caseapp.domain.users.models import User
from caseapp.domain.users.queries import get_user_names


def list_declined_proposals(actor: Actor, limit: int) -> list[DeclinedProposal]:
    """List what coaches declined and is not proposed again yet, the oldest first, of up to `limit` clients.

    The marks of this person find the clients: no other client's state is opened, however many there are.
    """
    require(actor, Action.SCREENING_READ)
    moment = now()
    marks = list_marks(actor.id, (DECLINED,), limit, since=moment - PROPOSED_AGAIN_AFTER)
    query = (
        sa.select(
            Client.id,
            Client.name,
            Case.number,
            User.name.label("coach"),
            ClientKey.wrapped,
            *SAFETY_COLUMNS,
        )
        .join(ClientKey, ClientKey.client_id == Client.id)
        .outerjoin(Case, Case.id == newest_case_id(Client.id))
        .outerjoin(User, User.id == Case.coach_id)
        .where(
            Client.id.in_({mark.client_id for mark in marks}), looks_after_client(actor, Client.id)
        )
    )
    rows = db.session.execute(join_safety(query)).all()
    note_shown(row.id for row in rows)
    found = []
    for row in rows:
        safety = safety_from_row(row, open_listed_client_key(row.wrapped, row.id))
        found += [
            (row, proposal)
            for proposal in list_coming_proposals(safety)
            if proposal.raised.declined_at and proposal.proposed_at > moment
        ]
    names = get_user_names({one.raised.declined_by for _, one in found if one.raised.declined_by})
    declined = [
        DeclinedProposal(
            client_id=row.id,
            client=row.name,
            number=row.number or "",
            coach=row.coach or "",
            item=proposal.item,
            declined_at=proposal.raised.declined_at or moment,
            declined_by=names.get(proposal.raised.declined_by or row.id, ""),
            reason=proposal.raised.declined_because,
            proposed_again_at=proposal.proposed_at,
        )
        for row, proposal in found
    ]
    return sorted(declined, key=lambda each: (each.declined_at, each.client_id, each.item))
