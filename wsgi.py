"""Make the app from the environment, for any WSGI server."""

import os

from caseapp.core.settings import load_settings
from caseapp.factory import create_app

app = create_app(load_settings(os.environ))
