import pytest

from caseapp.domain.followups.assignees import choose_person


@pytest.mark.parametrize(
    ("wanted", "coaches", "supervisors", "deciders", "expected"),
    [
        (["coach"], ["coach", "other"], ["supervisor"], [], "coach"),
        (["supervisor"], ["coach"], ["supervisor"], [], "supervisor"),
        (["left"], ["coach"], ["supervisor"], [], "coach"),
        (["left"], [], ["supervisor"], [], "supervisor"),
        (["left"], [], [], [], "left"),
        (["supervisor", "coach"], ["coach"], ["supervisor"], ["supervisor"], "supervisor"),
        (["elsewhere", "coach"], ["coach"], ["supervisor"], ["supervisor"], "supervisor"),
        (["elsewhere", "own"], ["own"], [], ["own"], "own"),
        (["left", "coach"], ["coach"], [], [], "coach"),
    ],
)
def test_task_goes_to_somebody_who_sees_the_client(
    wanted, coaches, supervisors, deciders, expected
):
    assert choose_person(wanted, coaches, supervisors, deciders) == expected
