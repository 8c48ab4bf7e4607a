"""Import the models of every package, so that the metadata is complete."""

from caseapp.core import idempotency, outbox, sessions
from caseapp.core.database import Model
from caseapp.domain.alerts import models as alerts
from caseapp.domain.assignments import models as assignments
from caseapp.domain.audit import models as audit
from caseapp.domain.auth import models as auth
from caseapp.domain.authoring import models as authoring
from caseapp.domain.bulk_assignments import models as bulk_assignments
from caseapp.domain.cases import models as cases
from caseapp.domain.clients import models as clients
from caseapp.domain.consent import models as consent
from caseapp.domain.contacts import models as contacts
from caseapp.domain.disclosures import models as disclosures
from caseapp.domain.erasure import models as erasure
from caseapp.domain.followups import models as followups
from caseapp.domain.form_drafts import models as form_drafts
from caseapp.domain.handouts import models as handouts
from caseapp.domain.intakes import models as intakes
from caseapp.domain.keys import models as keys
from caseapp.domain.legal_holds import models as legal_holds
from caseapp.domain.merges import models as merges
from caseapp.domain.notes import models as notes
from caseapp.domain.practice import models as practice
from caseapp.domain.process_notes import models as process_notes
from caseapp.domain.reports import models as reports
from caseapp.domain.safety_plans import models as safety_plans
from caseapp.domain.screening import models as screening
from caseapp.domain.users import models as users
from caseapp.domain.worksheets import models as worksheets

MODULES = (
    alerts,
    assignments,
    audit,
    auth,
    authoring,
    bulk_assignments,
    cases,
    clients,
    consent,
    contacts,
    disclosures,
    erasure,
    followups,
    form_drafts,
    handouts,
    intakes,
    keys,
    legal_holds,
    merges,
    notes,
    idempotency,
    outbox,
    practice,
    process_notes,
    reports,
    safety_plans,
    screening,
    sessions,
    users,
    worksheets,
)
METADATA = Model.metadata
