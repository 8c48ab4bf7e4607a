from caseapp.domain.keys.rules import list_start_blockers


def test_start_with_every_key_listed_is_allowed():
    assert list_start_blockers({}, {}, ["a"]) == []
    assert list_start_blockers({"a": 3, "b": 1}, {"a": 10}, ["b", "a"]) == []


def test_start_without_a_listed_key_names_it_and_what_it_wraps():
    [one, other] = list_start_blockers({"a": 3, "b": 1}, {"c": 10}, ["a"])
    assert {one.code, other.code} == {"wrong_vault_key"}
    assert "b is not listed. It wraps 1 client keys and 0 keys" in one.message
    assert "c is not listed. It wraps 0 client keys and 10 keys" in other.message
    assert "CASEAPP_VAULT_KEY_FILE" in one.way_out
