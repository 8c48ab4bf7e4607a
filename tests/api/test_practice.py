"""The practice's settings through the API: a program changes those that let nobody in."""

from tests.api.api_client import assert_error, assert_needs_a_role


def test_admin_lets_clients_be_told_of_a_new_coach(staff):
    admin = staff["admin"]
    before = admin.get("/practice").get_json()
    assert (before["tells_new_coach"], before["country"]) == (False, "GB")
    after = admin.patch("/practice", {"tells_new_coach": True}, version=before).get_json()
    assert after == before | {"tells_new_coach": True, "version": before["version"] + 1}
    assert_error(admin.patch("/practice", {"paper": "Letter"}, version=before), 412)
    for kept in ("second_factor_roles", "requires_single_sign_on", "exit_url", "country", "zone"):
        refused = admin.patch("/practice", {kept: before[kept]}, version=after)
        assert assert_error(refused, 422)["fields"].keys() == {kept}
    assert admin.get("/practice").get_json() == after


def test_settings_are_for_admins(staff):
    assert_needs_a_role(staff["supervisor"], ("GET", "/practice"), ("PATCH", "/practice"))
