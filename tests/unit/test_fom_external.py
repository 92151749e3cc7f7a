"""External programs, hostile ones above all: each ends in a snapshot or in a failed solve with a report."""

import functools
import os
import signal
import stat
import sys
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest

from romflow.core.errors import ConfigError, InputError, ParameterError, ShapeError, SolveFailed
from romflow.core.fingerprint import check_json
from romflow.fom.external import ExternalProgram, read_vector
from romflow.fom.protocol import snapshot_of
from romflow.parameters.distributions import Uniform
from romflow.parameters.space import Parameter, ParameterSpace
from tests.programs import HEAD, MU, failed, scripted, space


@pytest.fixture
def program(tmp_path):
    """program(body, **options): the model of a Python script with this body."""
    return functools.partial(scripted, tmp_path)


def test_state_from_the_named_file(program):
    fom = program("save(npy(request['mu'] + [request['parameters']['load_1']]))")
    snapshot = fom.solve(MU)
    assert np.array_equal(snapshot.state, [0.5, -0.25, 0.125, 0.125])
    assert snapshot.outputs is None and fom.n == 4
    assert 0.0 < snapshot.info["seconds"] < 5.0 and snapshot.info["wall_seconds"] > 0.0
    assert "stderr" not in snapshot.info and snapshot.info["exit_code"] == 0


def test_parameters_arrive_to_the_last_bit(program):
    mu = np.array([1 / 3, -np.pi / 10, 5e-324])
    assert np.array_equal(program("save(npy(request['mu']))").solve(mu).state, mu)


def test_state_from_standard_output(program):
    assert np.array_equal(program("show(npy([1, 2, 3]))", n=3).solve(MU).state, [1.0, 2.0, 3.0])


def test_large_state_from_standard_output(program):
    state = program("show(npy([1.5] * 300000))").solve(MU).state
    assert state.shape == (300000,) and (state == 1.5).all()


def test_column_and_other_real_types_are_accepted(program):
    assert np.array_equal(program("save(npy([1, 2], (2, 1)))").solve(MU).state, [1.0, 2.0])
    assert np.array_equal(program("save(npy([0.0, 0.0], (4,), '<i4'))").solve(MU).state, np.zeros(4))


def test_named_file_wins_over_what_is_printed(program):
    fom = program("print('iteration 1'); show(b'x' * 30_000_000); save(npy([4.0])); show(npy([9.0]))")
    assert np.array_equal(fom.solve(MU).state, [4.0])


def test_outputs_come_from_their_own_file(program):
    body = "save(npy([1.0])); save(npy([float(len(name)) for name in request['output_names']]), 'outputs')"
    snapshot = program(body, outputs=["lift", "drags"]).solve(MU)
    assert np.array_equal(snapshot.outputs, [4.0, 5.0])
    failed(program("save(npy([1.0]))", outputs=["lift"]), "wrote no outputs")
    failed(program("save(npy([1.0])); save(npy([1.0]), 'outputs')", outputs=["lift", "drag"]), "1 values", "2")


def test_stderr_of_a_good_run_is_kept(program):
    assert program("print('note', file=sys.stderr); save(npy([1.0]))").solve(MU).info["stderr"] == "note\n"


def test_scratch_folder_is_empty_and_removed_and_the_working_folder_is_the_base(program, tmp_path):
    body = """
folder = os.path.dirname(request["output"])
assert os.listdir(folder) == []
assert os.getcwd() == os.path.dirname(os.path.abspath("solver.py")) == BASE
open(os.path.join(folder, "scratch"), "w").close()
print(folder, file=sys.stderr)
save(npy([1.0]))
"""
    folder = program(f"BASE = {str(tmp_path.resolve())!r}" + body).solve(MU).info["stderr"].strip()
    assert folder and not Path(folder).exists()


def test_exit_code_and_stderr_are_reported(program):
    body = "print('reading', file=sys.stderr); print('mesh not found', file=sys.stderr); save(npy([1.0])); sys.exit(3)"
    report = failed(program(body), "returned 3", "last line of stderr: mesh not found")
    assert report["exit_code"] == 3 and report["stderr"] == "reading\nmesh not found\n"


def test_only_the_end_of_a_long_stderr_is_kept(program):
    report = failed(program("sys.stderr.write('x' * 10_000_000 + 'end'); sys.exit(1)"), "returned 1")
    assert len(report["stderr"]) == 4000 and report["stderr"].endswith("xend")


def test_signal_is_named(program):
    report = failed(program("os.kill(os.getpid(), signal.SIGSEGV)"), "SIGSEGV")
    assert report["exit_code"] == -signal.SIGSEGV


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("", ["wrote no state"]),
        ("print('garbage in\\nand out')", ["wrote no state", "garbage in and out"]),
        ("show(bytes(range(256)) * 100)", ["wrote no state"]),
        ("os.mkdir(request['output'])", ["wrote no state"]),
        ("os.symlink(request['output'], request['output'])", ["wrote no state"]),
        ("save(b'')", ["no usable state"]),
        ("save(b'not numpy')", ["no usable state", "magic"]),
        ("save(npy([1.0, float('nan'), float('inf')]))", ["2 of its values are not finite"]),
        ("save(npy([1.0, 2.0]))", ["2 values", "the rule is 3"]),
        ("save(npy([1.0, 2.0, 3.0])[:-1])", ["promises 24 bytes", "has 23"]),
        ("save(npy([1.0, 2.0, 3.0]) + b'x')", ["promises 24 bytes", "has 25"]),
        ("save(npy([1.0] * 9, (3, 3)))", ["shape (3, 3)"]),
        ("save(npy([1.0], ()))", ["shape ()"]),
        ("save(npy([], (0,)))", ["shape (0,)"]),
        ("save(npy([1.0], (-1,)))", ["shape (-1,)"]),
        ("save(npy([1.0], (10 ** 30,)))", ["1000000000000000000000000000000 values"]),
        ("save(npy([1.0] * 6, (3,), '<c16'))", ["complex128"]),
        ("save(npy([1.0] * 3, (3,), '|O'))", ["object"]),
        ("save(npy([1.0] * 3, (3,), '|b1'))", ["bool"]),
        ("save(npy([1.0] * 3, (3,), '|S8'))", ["real numbers"]),
        ("show(npy([1.0, 2.0, 3.0])[:40])", ["standard output is no usable state"]),
        ("show(npy([1.0] * 100_000))", ["printed more than a state of n = 3"]),
    ],
)
def test_results_that_cannot_be_used(program, body, words):
    assert failed(program(body, n=3), "returned 0", *words)["exit_code"] == 0


def test_first_result_sets_the_length_where_it_was_not_given(program):
    fom = program("save(npy([1.0] * (3 if request['mu'][0] == 0.5 else 2)))")
    assert fom.n is None
    assert snapshot_of(fom, MU).state.shape == (3,)
    with pytest.raises(SolveFailed, match="2 values, and the rule is 3"):
        fom.solve(MU / 2)


def test_object_array_is_never_unpickled(program, tmp_path):
    mark = tmp_path / "executed"

    class Bomb:
        def __reduce__(self):
            return os.mkdir, (str(mark),)

    array = np.empty(1, dtype=object)
    array[0] = Bomb()
    np.save(tmp_path / "bomb.npy", array, allow_pickle=True)
    failed(program(f"save(open({str(tmp_path / 'bomb.npy')!r}, 'rb').read())"), "object")
    assert not mark.exists()


def test_program_need_not_read_its_input(tmp_path):
    wide = ParameterSpace([Parameter("a", Uniform(0.0, 1.0), size=20_000)])
    fom = ExternalProgram(wide, ["{python}", "-I", "-S", "-c", "print('unread')"], tmp_path)
    with pytest.raises(SolveFailed, match="wrote no state.*unread"):
        fom.solve(np.full(20_000, 1 / 3))


def test_program_that_cannot_be_started(tmp_path):
    script = tmp_path / "solver.sh"
    for content, words in ((b"", ""), (b"#!/no/such/interpreter\n", "No such file"), (b"\x7fELFbroken", "")):
        script.write_bytes(content)
        script.chmod(0o755)
        fom = ExternalProgram(space(), ["solver.sh"], tmp_path)
        with pytest.raises(SolveFailed, match=f"'solver.sh' cannot be started.*{words}") as caught:
            fom.solve(MU)
        assert caught.value.report["exit_code"] is None
    script.unlink()
    with pytest.raises(SolveFailed, match="cannot be started"):
        fom.solve(MU)


def test_program_is_found_beside_the_study_or_on_the_path(tmp_path):
    script = tmp_path / "solver"
    script.write_text(f"#!{sys.executable}\n" + HEAD + "save(npy([7.0]))")
    with pytest.raises(InputError, match="not executable"):
        ExternalProgram(space(), ["solver"], tmp_path)
    script.chmod(script.stat().st_mode | stat.S_IXUSR)
    assert np.array_equal(ExternalProgram(space(), ["solver"], tmp_path).solve(MU).state, [7.0])
    with pytest.raises(InputError, match="'no-such-program' is neither a file in"):
        ExternalProgram(space(), ["no-such-program"], tmp_path)
    with pytest.raises(SolveFailed, match="'true' returned 0 but wrote no state"):
        ExternalProgram(space(), ["true"], tmp_path).solve(MU)


def test_no_shell_reads_the_command(tmp_path):
    fom = ExternalProgram(space(), ["echo", "$HOME; touch hacked", "`touch hacked`"], tmp_path)
    with pytest.raises(SolveFailed, match="touch hacked"):
        fom.solve(MU)
    assert not (tmp_path / "hacked").exists()


@pytest.mark.parametrize(
    "options",
    [
        {"command": "run me"},
        {"command": []},
        {"command": [""]},
        {"command": ["true", 3]},
        {"command": ["true", "a\0b"]},
        {"timeout": 0},
        {"timeout": float("nan")},
        {"timeout": "fast"},
        {"timeout": True},
        {"n": 0},
        {"n": 2.5},
        {"n": True},
        {"outputs": "drag"},
        {"outputs": ["drag", "drag"]},
        {"outputs": [""]},
    ],
)
def test_wrong_options_are_refused(tmp_path, options):
    key = next(iter(options))
    with pytest.raises(ConfigError, match=f"{key} = "):
        ExternalProgram(space(), base=tmp_path, **{"command": ["true"], **options})


def test_identity_is_the_content_of_the_scripts_and_not_the_place(program, tmp_path):
    first, again, changed = program("pass").spec, program("pass").spec, program("pass # new").spec
    check_json(first)
    assert first == again and first != changed
    assert str(tmp_path) not in str(first) and sys.executable not in str(first)
    assert first != program("pass", n=3).spec


def test_parameters_outside_the_space_do_not_start_the_program(tmp_path):
    fom = ExternalProgram(space(), ["touch", "started"], tmp_path)
    with pytest.raises(ParameterError):
        fom.solve(np.array([2.0, 0.0, 0.0]))
    with pytest.raises(ShapeError, match="2 rows"):
        fom.solve(np.zeros((2, 3)))
    assert not (tmp_path / "started").exists()


def test_vector_of_any_byte_order_is_read():
    stream = BytesIO()
    np.save(stream, np.array([1.0, 2.0], dtype=">f8"))
    stream.seek(0)
    assert np.array_equal(read_vector(stream, None), [1.0, 2.0])


def test_promised_sizes_are_checked_before_memory_is_asked_for():
    for length in (10**12, 10**30):
        stream = BytesIO()
        np.lib.format.write_array_header_1_0(stream, {"descr": "<f8", "fortran_order": False, "shape": (length,)})
        stream.seek(0)
        with pytest.raises(ValueError, match=f"promises {8 * length} bytes, and it has 0"):
            read_vector(stream, None)
