"""Sign-in and sign-out in a real browser."""

from tests.support import staff


def test_sign_in_with_wrong_then_right_password_opens_today(app, live, page, look):
    coach = staff.add("coach")
    page.goto(f"{live}/today")
    look.at("sign-in")
    page.get_by_label("Email").fill("coach@practice.test")
    page.get_by_label("Password").fill("wrong wrong wrong")
    page.get_by_role("button", name="Sign in", exact=True).click()
    page.get_by_text("do not match").wait_for()
    look.said.clear()
    page.get_by_label("Password").fill(staff.PASSWORD)
    page.get_by_role("button", name="Sign in", exact=True).click()
    page.wait_for_url("**/today")
    assert coach.name
