from __future__ import annotations

import pytest
from importlinter.cli import lint_imports

from caseapp.core.settings import ROOT


@pytest.mark.slow
def test_imports_run_down_only(monkeypatch, capsys):
    """All contracts of pyproject.toml: layers, a domain without HTTP, a portal that reaches no note."""
    monkeypatch.chdir(ROOT)
    broken = lint_imports(config_filename=str(ROOT / "pyproject.toml"), no_cache=True)
    assert broken == 0, capsys.readouterr().out
