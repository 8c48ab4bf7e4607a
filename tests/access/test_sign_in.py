from tests import people


def test_a_coach_signs_in(app, visitor):
    coach = people.add("coach")
    page = visitor.get("/sign-in")
    assert page.status_code == 200
    answer = people.sign_in(visitor, coach)
    assert answer.status_code == 303
    assert visitor.get("/today").status_code == 200
