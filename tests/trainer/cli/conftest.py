import pytest

from trainer.cli.console import Reporter


@pytest.fixture(autouse=True)
def _time_stands_still_for_progress(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lines of progress come after two seconds: on a busy machine they would stand among those that are counted."""
    defaults = Reporter.__init__.__kwdefaults__
    assert defaults is not None
    monkeypatch.setitem(defaults, "clock", lambda: 0.0)
