"""Done: the library published, handouts assigned, opened, read and withdrawn."""

from __future__ import annotations

import sqlalchemy as sa

from caseapp.core.clock import now
from caseapp.core.database import db
from caseapp.handouts.library import BrokenHandout, library
from caseapp.handouts.models import Edition


def publish_library() -> int:
    """Publish every edition of the library that is new; give their number.

    Raises BrokenHandout when a text changed without a new version number, since assignments point at editions for ever.
    """
    known = {
        (row.slug, row.language, row.number): row.sha256
        for row in db.session.execute(
            sa.select(Edition.slug, Edition.language, Edition.number, Edition.sha256)
        )
    }
    new = []
    for (slug, language), handout in library().items():
        before = known.get((slug, language, handout.version))
        if before is None:
            new.append(
                Edition(
                    slug=slug,
                    language=language,
                    number=handout.version,
                    sha256=handout.sha256,
                    source=handout.source,
                    published_at=now(),
                )
            )
        elif before != handout.sha256:
            raise BrokenHandout(
                f"{slug} ({language}): the text changed, but version {handout.version} did not."
            )
    db.session.add_all(new)
    db.session.flush()
    return len(new)
