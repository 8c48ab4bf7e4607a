from caseapp.domain.auth.programs import find_program, has_secret
from tests.support import staff


def test_program_is_made_listed_and_ended(team, run_command):
    email = staff.email_of(team["admin"])
    made = run_command("program", "create", email, "--name", "Import", "--scope", "audit:read")
    id_, secret = made.output.split()
    assert has_secret(find_program(id_), secret)
    listed = run_command("program", "list").output
    assert listed == f"{id_}  Import, as Ade Bello, not used yet: audit:read\n"
    assert run_command("program", "end", id_).exit_code == 0
    assert find_program(id_) is None
    assert run_command("program", "list").output == ""
