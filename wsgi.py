"""The WSGI application, created from the environment."""

import os

from caseapp.core.settings import load_settings
from caseapp.factory import create_app

app = create_app(load_settings(os.environ))
