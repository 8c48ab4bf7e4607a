"""Programs under Settings: made, their secret shown once, listed and ended."""

from __future__ import annotations

import re
from uuid import UUID

from caseapp.domain.auth.programs import find_program, has_secret
from tests.support.staff_pages import StaffBrowser


def test_program_is_made_shown_once_listed_and_ended(app, team):
    admin = StaffBrowser(app, team["admin"])
    assert "No programs" in admin.text("/settings/programs")
    wanted = {"program_name": "Import", "program_scopes": ["reports:write"]}
    shown = admin.send("/settings/programs", **wanted)
    assert shown.status_code == 200
    id_, secret = re.findall(r'class="code">([^<]+)<', shown.get_data(as_text=True))
    assert has_secret(find_program(id_), secret)
    page = admin.text("/settings/programs")
    assert "Import" in page
    assert "Acts as Ade Bello: reports:write." in page
    assert secret not in page
    answer = admin.send("/settings/programs", "/settings/programs/end", program_id=str(UUID(id_)))
    assert (answer.status_code, answer.location) == (303, "/settings/programs")
    assert "Program ended." in admin.text("/settings/programs")
    assert find_program(id_) is None
    assert admin.send("/settings/programs", program_name=" ").status_code == 422
    assert StaffBrowser(app, team["coach"]).get("/settings/programs").status_code == 403
