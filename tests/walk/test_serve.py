"""`romflow serve` as somebody starts it, asked by the client of UM-Bridge."""

import re
import signal

import pytest

import romflow
from romflow.store.snapshots import SnapshotStore
from tests.walk import studies

umbridge = pytest.importorskip("umbridge")

MU = [0.3, 0.7, 0.5, 0.9]


@pytest.fixture
def study(tmp_path, without_report):
    file = studies.write_block(tmp_path, cells=8)
    romflow.Study.from_file(file).run(tmp_path / "run")
    return file


def start(*words):
    process = studies.start("serve", *words, "--port", "0")
    said = ""
    for line in process.stdout:
        said += line
        found = re.search(r"at (http://127\.0\.0\.1:\d+)", line)
        if found:
            return process, found.group(1)
    raise AssertionError(said + process.stderr.read())


def test_both_models_are_served_and_solves_are_stored(study):
    folder = study.parent / "run"
    solved = len(SnapshotStore.open(folder / "store"))
    process, url = start(folder / "model.h5", "--study", study, "--out", folder)
    try:
        assert umbridge.supported_models(url) == ["reduced", "full-order"]
        reduced, full = (umbridge.HTTPModel(url, name) for name in ("reduced", "full-order"))
        rom = romflow.load(folder / "model.h5")
        assert reduced([MU])[0] == rom.solve([MU]).output[:, 0].tolist()
        assert full([MU])[0] == pytest.approx(reduced([MU])[0], rel=1e-3)
        assert full([MU], {"errors": True})[1:] == [[0.0] * len(rom.output_names), [0.0]]
        assert full.gradient(0, 0, [MU], [1.0]) == pytest.approx(reduced.gradient(0, 0, [MU], [1.0]), rel=0.05)
        with pytest.raises(Exception, match="InvalidInput"):
            full([[0.3, 7.0, 0.5, 0.9]])
        store = SnapshotStore.open(folder / "store")
        assert not len(store.missing([MU])) and len(store) == solved + 1
        again = studies.romflow("run", study, "--out", folder)
        assert again.returncode == 2 and "in use" in again.stderr
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=20)
    assert process.returncode == 0


@pytest.mark.parametrize("words, said", [([], "nothing to serve"), (["no.h5"], "no.h5"),
                                         (["--study", "no.toml"], "no.toml")])
def test_wrong_use_ends_with_a_sentence(words, said):
    found = studies.romflow_here("serve", *words)
    assert found.returncode == 2 and said in found.stderr and "Traceback" not in found.stderr
