"""The page of pictures."""

import re
import sys
from pathlib import Path

import pytest

pytest.importorskip("matplotlib", reason="needs matplotlib (kerasmirror[plot])")
SCRIPTS = Path(__file__).resolve().parents[3] / "scripts"


@pytest.fixture
def gallery(monkeypatch):
    monkeypatch.setenv("MPLBACKEND", "Agg")
    monkeypatch.syspath_prepend(str(SCRIPTS))
    import gallery

    # Real Keras is compared with in the tests of the examples.
    monkeypatch.setattr(gallery.importlib.util, "find_spec", lambda name: None)
    return gallery


def test_the_page_has_every_picture_and_fetches_nothing(gallery, tmp_path):
    out = tmp_path / "gallery.html"
    assert gallery.main(["--quick", "--out", str(out)]) == 0
    text = out.read_text()
    pictures = re.findall(r'src="data:image/png;base64,([^"]+)"', text)
    assert len(pictures) == 4 + len(gallery.CURVES) and len(set(pictures)) == len(pictures)
    assert not re.search(r"https?://", text)
    assert "Confusion matrix of the test images: 9" in text  # nine of ten are right, or more


def test_an_example_that_fails_is_told(gallery, tmp_path, monkeypatch):
    monkeypatch.setattr(gallery, "EXAMPLES", tmp_path)
    (tmp_path / "bad.py").write_text("raise ValueError('no data')")
    with pytest.raises(RuntimeError, match="bad on kerasmirror: ValueError: no data"):
        gallery.run_example("bad")


def test_a_missing_matplotlib_is_told(gallery, monkeypatch, capsys):
    monkeypatch.setattr(gallery, "pyplot", None)
    with pytest.raises(SystemExit) as stopped:
        gallery.main([])
    assert stopped.value.code == 2 and "need matplotlib" in capsys.readouterr().err
    assert "gallery" in sys.modules
