from __future__ import annotations

import pytest

from caseapp.core.email_addresses import address_for_mail, normalize_email


@pytest.mark.parametrize(
    ("text", "normal", "mailed"),
    [
        (" INES@Example.TEST ", "ines@example.test", "ines@example.test"),
        ("zoe@B\u00fccher.example", "zoe@b\u00fccher.example", "zoe@xn--bcher-kva.example"),
        ("zoe@xn--bcher-kva.example", "zoe@b\u00fccher.example", "zoe@xn--bcher-kva.example"),
        ("o'brien+coach@practice.example", "o'brien+coach@practice.example", None),
    ],
)
def test_address_has_one_form_and_one_for_mail(text, normal, mailed):
    assert normalize_email(text) == normal
    assert normalize_email(normal) == normal
    assert address_for_mail(normal) == (mailed or normal)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "ines",
        "ines@",
        "@example.org",
        "ines@example",
        "ines@localhost",
        "i..nes@example.org",
        "in\u00e9s@example.org",
        "ines @example.org",
        "ines@example..org",
        "ines@exa_mple.org",
        "ines@-example.org",
        "a@example.org, b@example.org",
        "Ines <ines@example.org>",
        "ines@example.org\nBcc: b@example.org",
        "x" * 65 + "@example.org",
        "ines@" + "x" * 250 + ".org",
    ],
)
def test_address_that_mail_would_refuse_is_refused_without_quoting_it(text):
    for check in (normalize_email, address_for_mail):
        with pytest.raises(ValueError, match="not a single address") as refused:
            check(text)
        assert not text or text not in str(refused.value)
