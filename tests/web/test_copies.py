import io
import re

import pikepdf
import pytest

from caseapp.core import pdf
from caseapp.domain.disclosures.queries import list_disclosures
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


@pytest.mark.slow
def test_form_sent_again_gives_the_copy_again_and_the_disclosure_log_has_it_once(
    coach, monkeypatch
):
    monkeypatch.setattr(pdf, "render", lambda *_given, **_more: b"%PDF-2.0")
    case = builders.case(coach.actor, "Ines Okafor")
    path = f"/case/{case.number}/copy"
    form = coach.form(path, f"{path}/file")
    sent = form.fields | {"channel": "in_person", "asked_alone": "yes"}
    for _ in range(2):
        assert coach.post(form.action, sent).data == b"%PDF-2.0"
    assert len(list_disclosures(coach.actor, case.client_id, None, 5).items) == 1
    # Another copy needs an entry of its own, so it is made from a page of its own.
    builders.note(coach.actor, case.case_id)
    for other in (sent, sent | {"kind": ["session"]}):
        assert coach.post(form.action, other).status_code == 409
    again = coach.form(path, f"{path}/file").fields
    assert coach.post(form.action, sent | again | {"channel": "in_person"}).status_code == 200
    assert len(list_disclosures(coach.actor, case.client_id, None, 5).items) == 2
