import pytest

from tests.api.api_client import assert_hidden
from tests.support import builders


@pytest.fixture
def supervisor(staff):
    return staff["supervisor"]


@pytest.fixture
def ines(coach):
    made = builders.case(coach.actor, "Ines Okafor")
    builders.screen(coach.actor, made.client_id, self_harm="urgent")
    return made


def test_supervisor_lists_and_acknowledges_an_alert(supervisor, ines):
    (alert,) = supervisor.get("/alerts").get_json()["items"]
    assert (alert["client_id"], alert["case_number"]) == (str(ines.client_id), ines.number)
    assert (alert["kind"], alert["step"]) == ("safety", "supervisor")
    assert alert["addressed_to"] == ["Helen Marsh"]
    assert alert["acknowledged_at"] is None
    path = f"/alerts/{alert['id']}/acknowledge"
    done = supervisor.post(path)
    assert done.status_code == 200
    assert done.get_json()["acknowledged_by"] == str(supervisor.actor.id)
    assert supervisor.post(path).get_json() == done.get_json()
    assert supervisor.get("/alerts").get_json()["items"] == [done.get_json()]


def test_alert_is_hidden_from_whom_it_does_not_address(supervisor, coach, stranger, ines):
    (alert,) = supervisor.get("/alerts").get_json()["items"]
    for other in (coach, stranger):
        assert other.get("/alerts").get_json()["items"] == []
        assert_hidden(other, "POST", "/alerts/{}/acknowledge", alert["id"])
