"""The study file: what it gives, and one sentence for each thing that is wrong in it."""

import pytest

from romflow.core.errors import ConfigError
from romflow.core.schema import parse_study, read_study

GOOD = """\
[study]
name = "block"
[model]
kind = "thermal-block"
cells = 99
[parameters.conductivity]
low = 0.1
high = 1.0
size = 9
[sampling]
method = "greedy"
pool = 200
"""

FULL = (
    GOOD
    + """\
seed = 42
[parameters.load]
distribution = "truncated-normal"
mean = 1
std = 0.5
low = 0
high = 2.0
unit = "N"
[reduction]
method = "pod-regression"
tolerance = 1e-4
max_size = 60
estimator = "gram"
projection = "galerkin"
certified = true
regressor = "rbf"
[validation]
size = 100
seed = 7
[failures]
retries = 2
max_failed_share = 0.25
[cluster]
kind = "slurm"
workers = 4
threads = 2
queue = "short"
walltime = "01:00:00"
[cluster.options]
death_timeout = 60
[[export]]
format = "npz"
[[export]]
format = "mine.py:Mine"
path = "out.bin"
compression = 9
"""
)


def message(tmp_path, text) -> str:
    """What read_study says about a file with this text, without the folder; always one line of one sentence's form."""
    file = tmp_path / "study.toml"
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(ConfigError) as caught:
        read_study(file)
    line = str(caught.value)
    assert line.startswith(f"{file}: ") and line.isprintable() and line[-1] in ".?"
    assert caught.value.__cause__ is None or "\n" not in line
    return line.removeprefix(f"{tmp_path}/")


def test_a_short_study_has_the_defaults(tmp_path):
    file = tmp_path / "study.toml"
    file.write_text(GOOD)
    config = read_study(file)
    assert (config.study.name, config.model.kind, config.model.options) == ("block", "thermal-block", {"cells": 99})
    table = config.parameters["conductivity"]
    assert (table.distribution, table.low, table.high, table.size, table.unit) == ("uniform", 0.1, 1.0, 9, "")
    assert (config.sampling.method, config.sampling.seed, config.sampling.options) == ("greedy", 0, {"pool": 200})
    reduction = config.reduction
    assert (reduction.method, reduction.tolerance, reduction.max_size) == ("reduced-basis", 1e-3, 100)
    assert (reduction.estimator, reduction.projection, reduction.certified) == ("orthonormal", "auto", False)
    assert (config.validation.size, config.validation.seed) == (0, 1)
    assert (config.failures.retries, config.failures.max_failed_share) == (0, 0.5)
    assert (config.cluster.kind, config.cluster.workers, config.cluster.threads) == ("local", 2, 1)
    assert (reduction.options, config.cluster.options, config.export) == ({}, {}, [])


def test_a_full_study_says_everything(tmp_path):
    file = tmp_path / "study.toml"
    file.write_text(FULL)
    config = read_study(file)
    assert list(config.parameters) == ["conductivity", "load"]
    assert config.parameters["load"].std == 0.5 and config.parameters["load"].a is None
    assert config.sampling.seed == 42
    assert config.reduction.certified is True and config.reduction.options == {"regressor": "rbf"}
    assert config.cluster.options == {"death_timeout": 60, "queue": "short", "walltime": "01:00:00"}
    assert [wish.format for wish in config.export] == ["npz", "mine.py:Mine"]
    assert (config.export[1].path, config.export[1].options) == ("out.bin", {"compression": 9})


def test_a_file_with_a_byte_order_mark_and_windows_lines_is_read(tmp_path):
    file = tmp_path / "study.toml"
    file.write_bytes(b"\xef\xbb\xbf" + GOOD.replace("\n", "\r\n").encode())
    assert read_study(file).study.name == "block"


def test_a_configuration_cannot_be_changed(tmp_path):
    config = parse_study(
        {
            "study": {"name": "x"},
            "model": {"kind": "external"},
            "sampling": {"method": "random"},
            "parameters": {"a": {"low": 0, "high": 1}},
        }
    )
    with pytest.raises(ValueError, match="frozen"):
        config.study.name = "y"


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("method =", "metod =", "[sampling] has no key 'metod'; known: method, seed. Did you mean 'method'?"),
        ("pool = 200", "sede = 200", "[sampling] has no key 'sede'; known: method, seed. Did you mean 'seed'?"),
        (
            "[sampling]",
            "[samplign]",
            "no section is called 'samplign'; known: study, model, time, parameters, "
            "sampling, reduction, validation, dictionary, adaptivity, uq, failures, solver, cluster, "
            "export. Did you mean 'sampling'?",
        ),
        (
            "low = 0.1",
            "lwo = 0.1",
            "[parameters.conductivity] has no key 'lwo' for distribution = 'uniform'; known: "
            "distribution, low, high, size, unit. Did you mean 'low'?",
        ),
        ("low = 0.1", "low = 2", "[parameters.conductivity] low = 2 is above high = 1; swap them."),
        ("low = 0.1", "low = nan", "[parameters.conductivity] low = nan is not finite; write a finite number."),
        ("low = 0.1", "low = -inf", "[parameters.conductivity] low = -inf is not finite; write a finite number."),
        (
            "low = 0.1",
            'low = "x"',
            "[parameters.conductivity] low = 'x' is not a number; write one such as 0.5 or 1e-3, without quotes.",
        ),
        (
            "low = 0.1",
            "low = true",
            "[parameters.conductivity] low = true is not a number; write one such as 0.5 or 1e-3, without quotes.",
        ),
        (
            "low = 0.1\n",
            "",
            "[parameters.conductivity] distribution 'uniform' needs the key 'low'; it takes low, high.",
        ),
        (
            "size = 9",
            "size = true",
            "[parameters.conductivity] size = true is not a whole number; write one such as 10, without quotes.",
        ),
        (
            "size = 9",
            "size = 9.0",
            "[parameters.conductivity] size = 9.0 is not a whole number; write one such as 10, without quotes.",
        ),
        ("size = 9", "size = 0", "[parameters.conductivity] size = 0 is too small; write 1 or more."),
        ("size = 9", "unit = 9", "[parameters.conductivity] unit = 9 is not a text; write it in quotes."),
        (
            "size = 9",
            'distribution = "uniforn"',
            "[parameters.conductivity] distribution: no distribution is called "
            "'uniforn'; known: uniform, log-uniform, normal, truncated-normal, log-normal, truncated-log-normal, "
            "beta, triangular, table. Did you mean 'uniform'?",
        ),
        (
            "size = 9",
            'distribution = "normal"',
            "[parameters.conductivity] has no key 'low' for distribution = 'normal'; "
            "known: distribution, mean, std, size, unit.",
        ),
        (
            "size = 9",
            "distribution = 3",
            "[parameters.conductivity] distribution = 3 is not a text; write it in quotes.",
        ),
        (
            "[parameters.conductivity]",
            "[parameters.heat-flux]",
            "[parameters] is wrong: the name 'heat-flux' is not made "
            "of letters, digits and _ (first no digit); call it 'heat_flux'.",
        ),
        (
            "[parameters.conductivity]",
            "[parameters.pi]",
            "[parameters] is wrong: the name 'pi' is a word of the theta language; call it 'pi_'.",
        ),
        (
            "[sampling]",
            "[parameters.conductivity_3]\nlow=0\nhigh=1\n[sampling]",
            "[parameters] is wrong: the column "
            "'conductivity_3' comes from the parameters 'conductivity' and 'conductivity_3'; rename one of them.",
        ),
        ("cells = 99", "cells = [9, inf]", "[model] cells[1] = inf is not finite; write a finite number."),
        (
            "cells = 99",
            "when = 2020-01-02",
            "[model] when = 2020-01-02 is a date or a time, which no key takes; write it in quotes.",
        ),
        (
            "cells = 99",
            "cells = 99999999999999999999",
            "[model] cells = 99999999999999999999 is beyond 64 bits; write a smaller number.",
        ),
        ('[model]\nkind = "thermal-block"\ncells = 99\n', "", "the section [model] is missing; add it."),
        ('kind = "thermal-block"\n', "", "[model] needs the key 'kind'; add it."),
        ('kind = "thermal-block"', "kind = true", "[model] kind = true is not a text; write it in quotes."),
        (
            '"thermal-block"',
            '"thermal_block"',
            "[model] kind: no model is called 'thermal_block'; known: thermal-block, diffusion, "
            "advection-diffusion, linear-elasticity, nonaffine, burgers, reaction-diffusion, radiation, random-domain, "
            "random-field, mechanics, calculix, imported, submodel, affine-files, external. "
            "Did you mean 'thermal-block'?",
        ),
        (
            '"thermal-block"',
            '"mine.py"',
            "[model] kind: model 'mine.py' names no class in a file; write 'path/file.py:Class'.",
        ),
        (
            '"greedy"',
            '"gredy"',
            "[sampling] method: no sampler is called 'gredy'; known: greedy, latin-hypercube, sobol, "
            "grid, file, random, lattice, sparse-grid, optimal-design. Did you mean 'greedy'?",
        ),
        (
            "pool = 200",
            "seed = true",
            "[sampling] seed = true is not a whole number; write one such as 10, without quotes.",
        ),
        ("pool = 200", "seed = -1", "[sampling] seed = -1 is too small; write 0 or more."),
        ('name = "block"', 'name = ""', "[study] name = '' is empty; write a text."),
        (
            'name = "block"',
            'name = "a\\nb"',
            "[study] name: 'a\\nb' is not one line of visible text; write a short name.",
        ),
        ('name = "block"', "title = 3", "[study] has no key 'title'; known: name."),
        (
            "[parameters.conductivity]\nlow = 0.1\nhigh = 1.0\nsize = 9\n",
            "",
            "the section [parameters.NAME] is missing; add it.",
        ),
        (
            "[parameters.conductivity]\nlow = 0.1\nhigh = 1.0\nsize = 9\n",
            "[parameters]\n",
            "[parameters] is empty; add a table [parameters.NAME].",
        ),
        (
            "[parameters.conductivity]\nlow = 0.1\nhigh = 1.0\nsize = 9\n",
            "[parameters]\nk = 3\n",
            "[parameters] k = 3 is not a table; write [parameters.k] and its keys below.",
        ),
    ],
)
def test_each_fault_has_its_sentence(tmp_path, old, new, said):
    assert GOOD.count(old) >= 1
    assert message(tmp_path, GOOD.replace(old, new, 1)) == f"study.toml: {said}"


@pytest.mark.parametrize(
    ("old", "new", "line"),
    [
        ("low = 0.1", "low = = 0.1", 7),
        ("low = 0.1", "low = 0.1\nlow = 0.1", 8),
        ("low = 0.1", "low = 2020-02-30", 7),
        ("low = 0.1", "low = 1e", 7),
        ("[model]", "[model", 3),
        ("[sampling]", "[model]", 10),
    ],
)
def test_what_is_not_toml_is_said_with_its_line(tmp_path, old, new, line):
    said = message(tmp_path, GOOD.replace(old, new, 1))
    assert said.startswith("study.toml: this is not TOML: ") and f"(at line {line}, column " in said


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ("[reduction]\ntolerance = 1.0", "[reduction] tolerance = 1 is too large; write less than 1."),
        ("[reduction]\ntolerance = -1e-3", "[reduction] tolerance = -0.001 is too small; write 0 or more."),
        (
            "[reduction]\ntolerence = 1e-3",
            "[reduction] has no key 'tolerence'; known: method, tolerance, max_size, "
            "estimator, projection, certified. Did you mean 'tolerance'?",
        ),
        ("[reduction]\nmax_size = 0", "[reduction] max_size = 0 is too small; write 1 or more."),
        (
            '[reduction]\nestimator = "gramm"',
            "[reduction] estimator = 'gramm' is not known; known: orthonormal, eim, gram, sketched. "
            "Did you mean 'gram'?",
        ),
        (
            "[reduction]\ncertified = 1",
            "[reduction] certified = 1 is neither true nor false; write one of them, without quotes.",
        ),
        (
            '[reduction]\nmethod = "pod"',
            "[reduction] method: no reductor is called 'pod'; known: reduced-basis, pod-galerkin, pod-regression, "
            "pod-greedy, hyper-reduction, empirical-cubature, sketched.",
        ),
        (
            '[validation]\nsize = "ten"',
            "[validation] size = 'ten' is not a whole number; write one such as 10, without quotes.",
        ),
        ("[validation]\nsize = 99999999999", "[validation] size = 99999999999 is too large; write 10000000 or less."),
        ("[validation]\nsiez = 3", "[validation] has no key 'siez'; known: size, seed. Did you mean 'size'?"),
        ("[failures]\nmax_failed_share = 2", "[failures] max_failed_share = 2 is too large; write 1 or less."),
        ("[failures]\nretries = -1", "[failures] retries = -1 is too small; write 0 or more."),
        (
            '[cluster]\nkind = "lokal"',
            "[cluster] kind: no cluster is called 'lokal'; known: local, serial, slurm, pbs, "
            "allocation, tcp://HOST:PORT. Did you mean 'local'?",
        ),
        ("[cluster]\nworkers = 0", "[cluster] workers = 0 is too small; write 1 or more."),
        (
            '[cluster]\nqueue = "a"\n[cluster.options]\nqueue = "b"',
            "[cluster] has the key 'queue' twice, here and in [cluster.options]; remove one.",
        ),
        ("[cluster]\noptions = 3", "[cluster] options = 3 is not a table; write [cluster.options] and its keys below."),
        ('[export]\nformat = "npz"', "export = {'format': 'npz'} is not a list of tables; write [[export]]."),
        ('[[export]]\nformt = "npz"', "[[export]] 1 has no key 'formt'; known: format, path. Did you mean 'format'?"),
        (
            '[[export]]\nformat = "npz"\n[[export]]\nformat = "csv"\npath = 3',
            "[[export]] 2 path = 3 is not a text; write it in quotes.",
        ),
        (
            '[[export]]\nformat = "vtk"',
            "[[export]] 1 format: no exporter is called 'vtk'; known: npz, vtu, csv, c, fmu, onnx. Did you mean 'vtu'?",
        ),
        ("[model.material]\nyoung = nan", "[model.material] young = nan is not finite; write a finite number."),
        (
            '[parameters.b]\ndistribution = "log-uniform"\nlow = 0\nhigh = 1',
            "[parameters.b] low = 0 is not positive, as a log-uniform distribution needs; write a number above 0.",
        ),
        (
            '[parameters.b]\ndistribution = "normal"\nmean = 0\nstd = 0',
            "[parameters.b] std = 0 is not positive; write a number above 0.",
        ),
        (
            "[parameters.b]\nlow = -1e308\nhigh = 1e308",
            "[parameters.b] low = -1e+308 and high = 1e+308 are further apart than float64 holds; bring them together.",
        ),
    ],
)
def test_each_fault_of_the_other_sections_has_its_sentence(tmp_path, more, said):
    assert message(tmp_path, GOOD + more + "\n") == f"study.toml: {said}"


def test_an_unknown_key_is_told_before_what_is_missing_because_of_it(tmp_path):
    assert "no section is called 'modle'" in message(tmp_path, GOOD.replace("[model]", "[modle]"))


def test_a_word_near_a_key_may_be_an_option_of_a_users_own_class(tmp_path):
    file = tmp_path / "study.toml"
    file.write_text(GOOD.replace('"greedy"', '"mine.py:Mine"').replace("pool", "seeds"))
    assert read_study(file).sampling.options == {"seeds": 200}
