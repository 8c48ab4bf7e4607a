"""Import every slice's models, so that the metadata is whole."""

from caseapp.core import idempotency, outbox
from caseapp.core.database import Model
from caseapp.domain.assignments import models as assignments
from caseapp.domain.audit import models as audit
from caseapp.domain.auth import models as access
from caseapp.domain.authoring import models as own_handouts
from caseapp.domain.bulk_assignments import models as givings
from caseapp.domain.cases import models as cases
from caseapp.domain.clients import models as clients
from caseapp.domain.followups import models as followups
from caseapp.domain.handouts import models as handouts
from caseapp.domain.notes import models as notes
from caseapp.domain.practice import models as practice
from caseapp.domain.reports import models as reports
from caseapp.domain.screening import models as screening
from caseapp.domain.users import models as users
from caseapp.domain.worksheets import models as worksheets

MODULES = (
    access,
    assignments,
    audit,
    cases,
    clients,
    followups,
    givings,
    handouts,
    notes,
    idempotency,
    outbox,
    own_handouts,
    practice,
    reports,
    screening,
    users,
    worksheets,
)
METADATA = Model.metadata
