from tests.api.api_client import assert_error, assert_hidden, assert_needs_a_role, assert_refuses

SLEEP = {"title": "Sleep", "text": "Slept well.", "section": "plan"}


def test_snippets_are_listed_added_and_deleted_by_their_owner_alone(staff, coach):
    made = coach.post("/snippets", SLEEP, idempotency_key="a").get_json()
    assert coach.post("/snippets", SLEEP, idempotency_key="a").get_json() == made
    assert {name: made[name] for name in SLEEP} == SLEEP
    wrong = [("title", SLEEP | {"title": ""}), ("section", SLEEP | {"section": "poem"})]
    assert_refuses(coach, "POST", "/snippets", wrong)
    assert coach.get("/snippets").get_json()["items"] == [made]
    assert staff["supervisor"].get("/snippets").get_json()["items"] == []
    here = f"/snippets/{made['id']}/delete"
    assert_hidden(staff["supervisor"], "POST", "/snippets/{}/delete", made["id"])
    assert_needs_a_role(staff["admin"], ("GET", "/snippets"), ("POST", here))
    assert coach.post(here).get_json() == made
    assert_error(coach.post(here), 404, "not_found")
