"""The WSGI application, created from the environment."""

import os

from caseapp.core.data_folder import restrict_new_files
from caseapp.core.settings import load_settings
from caseapp.domain.audit.start import refuse_unsafe_start
from caseapp.factory import create_app

restrict_new_files()
app = create_app(load_settings(os.environ))
with app.app_context():
    refuse_unsafe_start()
