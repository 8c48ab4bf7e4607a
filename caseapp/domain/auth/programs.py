"""Programs: they show an id and a secret, and get tokens that last a quarter of an hour (RFC 6749, 4.4).

A program acts as the member of staff it belongs to, within its scopes and that person's role as of now.
"""

from __future__ import annotations

from datetime import timedelta
from hmac import compare_digest
from typing import TYPE_CHECKING
from uuid import UUID

import sqlalchemy as sa

from caseapp.core.actor import Actor, require
from caseapp.core.clock import now
from caseapp.core.database import db
from caseapp.core.errors import NotFound, Unauthenticated
from caseapp.core.permissions import Action, Role
from caseapp.core.tokens import generate_token, hash_token
from caseapp.domain.audit.operations import record
from caseapp.domain.auth.models import Program, Token
from caseapp.domain.auth.operations import check_new_token, require_open_session
from caseapp.domain.users.models import User

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from caseapp.domain.auth.schemas import NewProgram

PROGRAM_TOKEN_LIFETIME = timedelta(minutes=15)
KEPT_FOR = timedelta(days=1)
"""How long a token of a program is kept after its end."""


def make_program(actor: Actor, user_id: UUID, new: NewProgram) -> tuple[Program, str]:
    """Make a program that acts as a member of staff; return it and its secret, which is not stored.

    Only the command line makes one for somebody else. Raises NotFound for that, Invalid for a name that is empty or too
    long and for unknown scopes or none, and Unauthenticated when the session has ended since the request began.
    """
    require(actor, Action.PROGRAM_MANAGE)
    if actor.via != "cli":
        if user_id != actor.id:
            raise NotFound
        require_open_session(actor)
    check_new_token(new.name, new.scopes)
    secret = generate_token()
    program = Program(
        user_id=user_id,
        name=new.name,
        secret_hash=hash_token(secret),
        scopes=sorted({*new.scopes}),
        created_at=now(),
    )
    db.session.add(program)
    db.session.flush()
    details = {"made": True, "scopes": program.scopes, "user": str(user_id)}
    record(actor, Action.PROGRAM_MANAGE, "program", program.id, details=details)
    return program, secret


def list_programs(actor: Actor) -> Sequence[tuple[Program, str]]:
    """List the programs that haven't ended, by name, each with the name of the person as whom it acts."""
    require(actor, Action.PROGRAM_MANAGE)
    return [
        (row[0], row[1])
        for row in db.session.execute(
            sa.select(Program, User.name)
            .join(User, User.id == Program.user_id)
            .where(Program.ended_at.is_(None))
            .order_by(Program.name, Program.id)
        )
    ]


def end_program(actor: Actor, program_id: UUID) -> None:
    """End a program and its tokens for good.

    Raises NotFound, also for one that has ended.
    """
    require(actor, Action.PROGRAM_MANAGE)
    ended = db.session.scalar(
        sa.update(Program)
        .where(Program.id == program_id, Program.ended_at.is_(None))
        .values(ended_at=now())
        .returning(Program.id)
    )
    if ended is None:
        raise NotFound
    db.session.execute(
        sa.update(Token)
        .where(Token.program_id == program_id, Token.revoked_at.is_(None))
        .values(revoked_at=now())
    )
    record(actor, Action.PROGRAM_MANAGE, "program", program_id, details={"ended": True})


def find_program(program_id: str) -> Program | None:
    """Find a program that hasn't ended, and whose person's account isn't disabled."""
    try:
        wanted = UUID(hex=program_id)
    except ValueError:
        return None
    return db.session.scalar(
        sa.select(Program)
        .join(User, User.id == Program.user_id)
        .where(Program.id == wanted, Program.ended_at.is_(None), User.disabled_at.is_(None))
    )


def has_secret(program: Program, secret: str) -> bool:
    """Tell whether this is the program's secret."""
    return compare_digest(program.secret_hash, hash_token(secret))


def issue_token(program_id: UUID, scopes: Collection[str]) -> str:
    """Issue a token to a program, and return its text; tokens of it that ended a day ago are removed.

    The program's row is written, so that ending it comes before or after. Raises Unauthenticated when it has ended.
    """
    found = db.session.execute(
        sa.update(Program)
        .where(Program.id == program_id, Program.ended_at.is_(None))
        .values(used_at=now())
        .returning(Program.user_id, Program.name)
    ).first()
    if found is None:
        raise Unauthenticated
    moment = now()
    db.session.execute(
        sa.delete(Token).where(Token.program_id == program_id, Token.expires_at < moment - KEPT_FOR)
    )
    text = generate_token()
    token = Token(
        secret_hash=hash_token(text),
        user_id=found.user_id,
        program_id=program_id,
        name=found.name,
        scopes=sorted(scopes),
        created_at=moment,
        expires_at=moment + PROGRAM_TOKEN_LIFETIME,
    )
    db.session.add(token)
    db.session.flush()
    owner = db.session.get_one(User, found.user_id)
    actor = Actor(owner.id, Role(owner.role), owner.name, "api")
    details = {"program": str(program_id), "scopes": token.scopes}
    record(actor, Action.TOKEN_MAKE, "token", token.id, details=details)
    return text


def find_program_token(text: str) -> Token | None:
    """Find a token of a program by its text, also one that has ended."""
    return db.session.scalar(
        sa.select(Token).where(Token.secret_hash == hash_token(text), Token.program_id.is_not(None))
    )


def revoke_program_token(token_id: UUID) -> None:
    """Revoke a token that a program gives back."""
    db.session.execute(
        sa.update(Token)
        .where(Token.id == token_id, Token.revoked_at.is_(None))
        .values(revoked_at=now())
    )
