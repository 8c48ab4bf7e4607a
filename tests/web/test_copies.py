import io
import re

import pikepdf
import pytest

from tests.support import builders


@pytest.mark.pdf
@pytest.mark.slow
def test_copy_opens_with_the_passphrase_of_its_page_and_the_disclosure_log_has_it(coach):
    case = builders.case(coach.actor, "Ines Okafor")
    builders.note(coach.actor, case.case_id)
    path, log = f"/case/{case.number}/copy", f"/case/{case.number}/disclosures"
    assert f'href="{path}"' in coach.text(log)
    page = coach.text(path)
    assert "may be in danger" not in page
    answer = coach.send(path, f"{path}/file", channel="email")
    assert answer.status_code == 409
    told = answer.get_data(as_text=True)
    assert "Ask with nobody else present" in told
    assert "The client has not said that this is safe: Email." in told
    assert "No disclosures have been recorded yet." in coach.text(log)
    form = coach.form(path, f"{path}/file")
    (passphrase,) = form.fields["passphrase"]
    assert passphrase not in page
    assert re.fullmatch(r"\w{4}(-\w{4}){4}", passphrase)
    answer = coach.post(form.action, form.fields | {"channel": "in_person", "asked_alone": "yes"})
    assert answer.headers["Content-Disposition"] == 'attachment; filename="copy.pdf"'
    with pikepdf.open(io.BytesIO(answer.data), password=passphrase) as document:
        assert [*document.attachments] == ["manifest.json", "record.json"]
    assert "The client, in person" in coach.text(log)
    builders.screen(coach.actor, case.client_id, fear_at_home="urgent")
    assert "may be in danger" in coach.text(path)
