"""Import every slice's models, so that the metadata is whole."""

from caseapp.access import models as access
from caseapp.assignments import models as assignments
from caseapp.audit import models as audit
from caseapp.cases import models as cases
from caseapp.clients import models as clients
from caseapp.core import once, outbox
from caseapp.core.database import Model
from caseapp.followups import models as followups
from caseapp.givings import models as givings
from caseapp.handouts import models as handouts
from caseapp.notes import models as notes
from caseapp.own_handouts import models as own_handouts
from caseapp.practice import models as practice
from caseapp.reports import models as reports
from caseapp.screening import models as screening
from caseapp.users import models as users
from caseapp.worksheets import models as worksheets

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
    once,
    outbox,
    own_handouts,
    practice,
    reports,
    screening,
    users,
    worksheets,
)
METADATA = Model.metadata
