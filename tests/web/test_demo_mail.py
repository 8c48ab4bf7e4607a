from __future__ import annotations

from dataclasses import replace
from html import unescape

import pytest

from caseapp.core import outbox, settings
from tests.support import staff
from tests.support.portal_client import ADDRESS, EMAIL_AND_PORTAL, invited, use_link
from tests.support.staff import csrf


@pytest.fixture
def kept(app, tmp_path):
    before = settings.active()
    settings.use(replace(before, data_dir=tmp_path, smtp_url=None))
    yield
    settings.use(before)


@pytest.fixture
def demo(kept):
    settings.use(replace(settings.active(), env="demo"))


@pytest.mark.parametrize("env", ["test", "production"])
def test_mail_list_is_not_found_outside_the_demo(kept, visitor, env):
    invited(staff.add("coach"), safe=EMAIL_AND_PORTAL, address=ADDRESS)
    settings.use(replace(settings.active(), env=env))
    answer = visitor.get("/demo/mail")
    assert answer.status_code == 404
    assert "/portal/enter/" not in answer.get_data(as_text=True)


def test_empty_mail_list_shows_a_message(demo, visitor):
    assert "No mail yet." in visitor.get("/demo/mail").get_data(as_text=True)


def test_mail_list_shows_newest_first_with_working_link(demo, app, visitor):
    invited(staff.add("coach"), safe=EMAIL_AND_PORTAL, address=ADDRESS)
    page = visitor.get("/portal/sign-in")
    visitor.post("/portal/sign-in", data={"csrf_token": csrf(page), "email": ADDRESS})
    outbox.sweep()
    text = unescape(visitor.get("/demo/mail").get_data(as_text=True))
    assert text.count("Your reading list") == 2
    assert ADDRESS in text
    base = settings.active().base_url
    newest, oldest = (part.split('"')[0] for part in text.split(f'href="{base}/portal/enter')[1:])
    for path, status in ((oldest, 401), (newest, 303)):
        guest = app.test_client()
        assert use_link(guest, path.rpartition("/")[2]).status_code == status
