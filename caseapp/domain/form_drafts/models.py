"""Tables: the words of forms that were not sent."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from caseapp.core.database import Model, between, private, unconstrained
from caseapp.core.ids import new_id


class FormDraft(Model):
    """The words of a form that was not sent.

    They are sealed under the author's own key, which is derived from key `ring_number` of the ring, and combined with
    the key of the client whom the form is about, if there is one. A row of a release before without the number is
    sealed under the client's key alone. What a client writes has that client as author and as client, and is sealed to
    their writing key.
    There is a row for each form as it was opened, so that two windows with the same form don't overwrite each other.
    """

    __tablename__ = "form_draft"
    __table_args__ = (sa.UniqueConstraint("author_id", "path", "form", "opened_at"),)

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    author_id: Mapped[UUID] = mapped_column(info=unconstrained("A member of staff or a client."))
    client_id: Mapped[UUID | None] = mapped_column(sa.ForeignKey("client.id"), index=True)
    path: Mapped[str] = mapped_column(sa.String(200))
    form: Mapped[str] = mapped_column(sa.String(200))
    opened_at: Mapped[datetime]
    ring_number: Mapped[int | None] = mapped_column(info=between(1))
    writing_key_id: Mapped[UUID | None] = mapped_column(sa.ForeignKey("writing_key.id"), index=True)
    words: Mapped[bytes] = mapped_column(info=private("author_id = client_id"))
    updated_at: Mapped[datetime] = mapped_column(index=True)
