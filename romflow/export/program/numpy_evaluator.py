"""The text of an evaluator that answers as the reduced model does, with NumPy alone, printed from its program."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np

from romflow.export.program.interpreter import batch_size
from romflow.export.program.numpy_text import HELPER, numpy_source
from romflow.export.program.program import Facts, Program

__all__ = ["constants_in", "evaluator_source"]

_WIDTH = 96

_START = '''\
"""Evaluator of the reduced model {name}: outputs and {noun}, by NumPy alone.

    python {stem}_evaluate.py {example}

`evaluate(mu)` takes parameters (b, p), or (p,), with the columns PARAMETERS, and returns the outputs (o, b) named
OUTPUTS and the {noun} of the state (b,) in the norm NORM.{promise}
`answers(mu)` returns all there is by name: {results}.{moves}

{ranges}
Of the study with the fingerprint {fingerprint}; the entry "facts" of the arrays tells more, as JSON.
"""

from pathlib import Path

import numpy as np

PARAMETERS = {parameters}
OUTPUTS = {outputs}
NORM, ERROR_KIND = {norm}, {kind}
with np.load(Path(__file__).with_name({file}), allow_pickle=False) as archive:
    data = dict(archive)
{times}

def evaluate(mu):
    found = answers(mu)
    return found["output"], found["error"]

{series}
def answers(mu):
    mu = np.atleast_2d(np.asarray(mu, dtype=float))
    right = mu.shape[1:] == (len(PARAMETERS),) and np.isfinite(mu).all()
    if not (right and ((data["space/low"] <= mu) & (mu <= data["space/high"])).all()):
        raise ValueError("mu must be (b, %d), finite and within the parameter space" % len(PARAMETERS))
    parts = [_answers(mu[i : i + {batch}]) for i in range(0, max(len(mu), 1), {batch})]
    return {{name: np.concatenate([part[name] for part in parts]).T for name in parts[0]}}


'''

_MOVES = """
The outputs are those of the last time, the error that of the whole trajectory; `series(mu)` gives both at all TIMES,
(o, K + 1, b) and (K + 1, b)."""

_SERIES = '''
def series(mu):
    found = answers(mu)
    return found["series"], found["error_series"]

'''

_RUN = '''\
@np.errstate(all="ignore")
def _answers(mu):
    b = len(mu)
'''

_END = '''

if __name__ == "__main__":
    import sys

    values, error = evaluate([float(word) for word in sys.argv[1:]])
    print(*(f"{name} = {value:.12g}" for name, value in zip(OUTPUTS, values[:, 0])), sep="\\n")
    print(f"error {ERROR_KIND} = {error[0]:.3g}")
'''


def evaluator_source(program: Program, file: str, centre: Iterable[float], constant: Callable[[str], str]) -> str:
    """Python source of the evaluator that reads its arrays from `file` in its own folder.

    Parameters
    ----------
    program : Program
        With its facts.
    file : str
        Name of the .npz file, which holds "space/low", "space/high" and "facts".
    centre : iterable of float
        Parameters of the example.
    constant : callable
        Name of a constant of the program -> the text of its array in ``data``.
    """
    facts = program.facts
    if facts is None:
        raise ValueError("the program has no facts; build it from a model")
    source = numpy_source(program, constant)
    return _start(facts, program, file, centre) + HELPER + "\n\n" + _RUN + source + "\n" + _END


def _start(facts: Facts, program: Program, file: str, centre: Iterable[float]) -> str:
    noun = {"bound": "error bound", "indicator": "error indicator"}.get(facts.error_kind, "error")
    times = facts.times
    return _START.format(
        name=_tame(facts.name), noun=noun, stem=_tame(Path(file).stem), file=ascii(file),
        promise="" if facts.error_kind == "bound" else " An indicator is no bound: the true error may be larger.",
        moves="" if times is None else _MOVES, series="" if times is None else _SERIES,
        times="" if times is None else 'TIMES = tuple(data["times"].tolist())\n',
        results=", ".join(program.results), ranges=_ranges(facts),
        fingerprint=_tame(facts.fingerprint) or "unknown",
        example=" ".join(f"{value:.6g}" for value in centre), parameters=_tuple(facts.columns),
        outputs=_tuple(facts.outputs), norm=ascii(facts.norm), kind=repr(facts.error_kind),
        batch=batch_size(program))


def _ranges(facts: Facts) -> str:
    """One line for each run of neighbouring columns that are alike."""
    rows = [(f"{low:.6g} .. {high:.6g}", _tame(unit)) for low, high, unit in
            zip(facts.low, facts.high, facts.units, strict=True)]
    lines, first = [], 0
    for place in range(1, len(rows) + 1):
        if place == len(rows) or rows[place] != rows[first]:
            names = facts.columns[first] + (f" to {facts.columns[place - 1]}" if place - 1 > first else "")
            lines.append(f"    {_tame(names)}: {rows[first][0]} {rows[first][1]}".rstrip())
            first = place
    return "\n".join(lines)


def _tuple(names: Iterable[str]) -> str:
    lines, line = [], ""
    for item in map(ascii, names):
        if line and len(line) + len(item) > _WIDTH:
            lines.append(line.rstrip())
            line = ""
        line += f"{item}, "
    listed = "\n    ".join([*lines, line.rstrip()]).removesuffix(",")
    return f"({listed},)" if listed else "()"


def _tame(text: str) -> str:
    """The text as it may stand within a documentation string: printable, without quotation marks and backslashes."""
    return re.sub(r"[^ !#-\[\]-~]", "?", text)


def constants_in(program: Program, arrays: dict[str, np.ndarray]) -> tuple[dict[str, str], dict[str, np.ndarray]]:
    """Where the constants of a program stand among named arrays, and those that must be added to them.

    Returns
    -------
    texts : dict of str to str
        Name of a constant -> the text of its array.
    added : dict of str to array
        "program/..." -> constants that are no array of the model, even in another shape.
    """
    known = {(value.size, np.ascontiguousarray(value).tobytes()): name for name, value in arrays.items()
             if isinstance(value, np.ndarray) and value.dtype == np.float64}
    texts, added = {}, {}
    for name, value in _all_constants(program).items():
        if value.size == 1 and np.isfinite(value).all():
            texts[name] = f"np.array({value.tolist()!r})"
            continue
        place = known.get((value.size, value.tobytes()))
        if place is None:
            place = f"program/{name}"
            added[place] = value
            texts[name] = f'data["{place}"]'
        else:
            shape = ", ".join(map(str, value.shape))
            same = arrays[place].shape == value.shape
            texts[name] = f'data["{place}"]' if same else f'data["{place}"].reshape({shape})'
    return texts, added


def _all_constants(program: Program) -> dict[str, np.ndarray]:
    found = {name: value for name, value in program.constants.items() if value.ndim}
    for node in program.nodes:
        if node.op == "march":
            found |= _all_constants(node.attributes["body"])
    return found
