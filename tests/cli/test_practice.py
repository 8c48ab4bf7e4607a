"""The practice's settings on the command line."""

from __future__ import annotations

import json


def test_settings_are_shown_and_changed_by_an_admin(team, run_as, acts):
    before = json.loads(run_as(team["admin"], "practice", "show"))
    edit = ("practice", "edit")
    run_as(team["supervisor"], "practice", "show", code=1)
    wanted = {"tells_new_coach": True, "second_factor_roles": ["admin"]}
    run_as(team["supervisor"], *edit, input_text=json.dumps(wanted), code=1)
    for wrong, named in (("{", "JSON"), ("{}", "JSON"), ('{"tells": 1}', "tells")):
        assert named in run_as(team["admin"], *edit, input_text=wrong, code=1)
    assert "tells_new_coach" in run_as(team["admin"], *edit, input_text=json.dumps(wanted))
    assert json.loads(run_as(team["admin"], "practice", "show")) == before | wanted
    assert [who for who, action in acts() if action == "practice.edit"] == [team["admin"].id]
