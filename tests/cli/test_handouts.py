from datetime import date

import pytest

from caseapp.cli.handouts import release_date


def test_check_passes_at_release(run_command):
    done = run_command("handouts", "check", "--at-release")
    assert done.exit_code == 0, done.output
    assert "no problems" in done.output
    assert release_date() == date(2026, 11, 21)


def test_check_fails_for_a_text_past_its_review_date(run_command):
    done = run_command("handouts", "check", "--on", "2031-01-01")
    assert done.exit_code == 1
    assert "reaching-out" in done.output


def test_list_names_handouts(run_command):
    listed = run_command("handouts", "list").output
    assert "H17" in listed
    assert "reaching-out" in listed


@pytest.mark.pdf
def test_render_writes_a_pdf(run_command, tmp_path):
    file = tmp_path / "handout.pdf"
    done = run_command("handouts", "render", "reaching-out", "-o", str(file))
    assert done.exit_code == 0, done.output
    assert file.read_bytes().startswith(b"%PDF-1.7")


@pytest.mark.parametrize("arguments", [["nothing"], ["reaching-out", "--language", "xx"]])
def test_render_unknown_handout_fails(run_command, tmp_path, arguments):
    done = run_command("handouts", "render", *arguments, "-o", str(tmp_path / "handout.pdf"))
    assert done.exit_code == 1
    assert "caseapp handouts list" in done.stderr
