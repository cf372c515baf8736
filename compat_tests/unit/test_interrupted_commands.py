"""Ctrl-C while a command runs."""

import pytest

from kerasmirror.__main__ import main
from kerasmirror.commands import experiment, info, run, warm


def _interrupted(*_):
    raise KeyboardInterrupt


@pytest.mark.parametrize("command", [experiment, info, warm])
def test_an_interrupted_command_is_one_line_and_status_130(command, monkeypatch, capsys):
    name = command.__name__.rpartition(".")[2]
    monkeypatch.setattr(command, "run", _interrupted)
    assert main([name]) == 130
    assert capsys.readouterr().err == f"{name}: interrupted\n"


def test_parity_too(monkeypatch, capsys):
    monkeypatch.setattr("kerasmirror.parity.__main__._compared", _interrupted)
    assert main(["parity", "mnist:1"]) == 130
    assert capsys.readouterr().err == "parity: interrupted\n"


def test_what_a_script_does_is_its_own(monkeypatch):
    monkeypatch.setattr(run, "run", _interrupted)
    with pytest.raises(KeyboardInterrupt):
        main(["run", "script.py"])
