"""Make the app from the environment, for any WSGI server."""

import os

from caseapp.core.settings import from_environment
from caseapp.factory import create_app

app = create_app(from_environment(os.environ))
