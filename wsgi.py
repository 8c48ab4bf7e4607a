"""The WSGI application, created from the environment."""

import os

from caseapp.core.data_folder import restrict_new_files
from caseapp.core.errors import refuse_for
from caseapp.core.settings import load_settings
from caseapp.domain.audit.checkpoints import list_rollback_faults
from caseapp.factory import create_app

restrict_new_files()
app = create_app(load_settings(os.environ))
with app.app_context():
    refuse_for(list_rollback_faults())
