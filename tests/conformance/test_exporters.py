"""The exporter suite: users' one-file exporters, sound and faulty, and the built-in ones."""

from pathlib import Path

import pytest

from romflow.core import registry
from romflow.testing import Report, check_exporter, verify

SOUND = """
import json
from romflow.core.files import write_atomic

class Text:
    suffix = ".json"

    def write(self, rom, path):
        text = json.dumps({"size": rom.size, "basis": rom.basis.tolist()})
        write_atomic(path, text.encode())
"""

ANSWERS = "\\n\\n    def answers(self, path, mu):\\n        return "
WRITE = "write_atomic(path, text.encode())"
FAULTS = {
    "no dot": ('".json"', '"json"', "suffix", "suffix = 'json'"),
    "elsewhere": (WRITE, "write_atomic(path.with_suffix('.txt'), text.encode())", "written", "left model.txt"),
    "empty": (WRITE, "path.touch()", "written", "has 0 bytes"),
    "part file": (WRITE, "path.write_text(text); path.with_suffix('.part').touch()", "no-leftovers", "model.part"),
    "time": (WRITE, "import time; path.write_text(text + str(time.time_ns()))", "deterministic",
             "differ in model.json"),
    "appends": (WRITE, "with path.open('a') as file: file.write(text)", "overwrites", "other bytes in model.json"),
    "answers": (WRITE, WRITE + ANSWERS + "{'output': mu[:, :1]}", "answers",
                "largest relative difference at 100"),
    "answers of another shape": (WRITE, WRITE + ANSWERS + "{'output': mu}", "answers", "output of shape (100, 4)"),
    "changes the model": ("text = ", "rom.basis[:] = 0; text = ", "model-untouched", "basis"),
    "silent": (WRITE, "\\n        try: write_atomic(path, text.encode())\\n        except OSError: pass", "refused",
               "raised nothing"),
    "other error": (WRITE, "\\n        try: write_atomic(path, text.encode())\\n        except OSError as e: raise "
                    "KeyError from e", "refused", "KeyError"),
}


def _verify(tmp_path: Path, code: str) -> Report:
    (tmp_path / "mine.py").write_text(code, encoding="utf-8")
    return verify("mine.py:Text", tmp_path)


def test_sound_exporter_passes(tmp_path: Path) -> None:
    report = _verify(tmp_path, SOUND)
    assert report.role == "exporter"
    assert all(check.passed for check in report.checks), str(report)


@pytest.mark.parametrize("name", FAULTS)
def test_fault_is_caught(tmp_path: Path, name: str) -> None:
    old, new, law, words = FAULTS[name]
    assert old in SOUND
    report = _verify(tmp_path, SOUND.replace(old, new.replace("\\n", "\n")))
    broken = {check.name: check.message for check in report.failures}
    assert words in broken.get(law, ""), str(report)
    assert "; the rule: " in broken[law]


# Units are compiled anew each time that they are written.
@pytest.mark.parametrize("name", [pytest.param(name, marks=pytest.mark.long) if name == "fmu" else name
                                  for name in registry.known("exporter")])
def test_built_in_exporters(name: str) -> None:
    report = check_exporter(registry.load("exporter", name, "."), name)
    assert all(check.passed for check in report.checks), str(report)
