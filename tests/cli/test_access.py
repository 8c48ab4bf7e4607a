from tests.support import builders, staff


def test_access_is_explained(team, run_command):
    """Whoever grants access reads what it opens, and why (VULN-39)."""
    made = builders.case(team["coach"], "Ines Okafor")
    done = run_command("access", "explain", staff.email_of(team["supervisor"]), made.number)
    assert done.exit_code == 0, done.output
    first, ground = done.output.splitlines()
    assert first == f"supervisor@practice.test may open {made.number}."
    assert ground.startswith("- They supervise Marta Lindqvist, the client’s coach since ")
    refused = run_command("access", "explain", staff.email_of(team["coach2"]), made.number)
    assert f"may not open {made.number}." in refused.output
    assert "Ines" not in done.output + refused.output
