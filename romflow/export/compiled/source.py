"""The pair of a C header and its source from a program."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from dataclasses import dataclass, replace

from romflow.core.errors import NotSupported
from romflow.export.compiled.kernels import KERNELS, RESTRICT
from romflow.export.compiled.memory import Place
from romflow.export.compiled.printer import Printer
from romflow.export.compiled.text import comment, file_stem, identifier, number, string, wrapped
from romflow.export.program.program import Facts, Program

__all__ = ["Source", "source_of"]

_STEADY = ("output", "output_error", "error")
_MOVING = ("series", "series_error", "error_series")
_PIECE = 100

_HEADER = """\
/* {title}: outputs and {noun} of a reduced model, C99 without dependencies.

   {call}

   mu: {parameters}
   output: {outputs}
   output_error: the {noun} of each output; error: that of the state in the norm {norm}.{promise}
   output_error and error may be NULL.

   Returns 0, or: 1 a parameter is outside its range, 2 a parameter is not finite, 3 the arithmetic broke down (a
   singular system). Then all numbers are NaN. An error may be infinite: there is no bound for these parameters.
   No memory is allocated and nothing is shared: the functions may be called by many threads at once. Each puts {kilo}
   kB on the stack, unless the caller gives a work array. */
#ifndef {NAME}_H
#define {NAME}_H

#define {NAME}_PARAMETERS {p}
#define {NAME}_OUTPUTS {o}
#define {NAME}_TIMES {times}
/* Doubles of the work array. */
#define {NAME}_WORK {work}

#ifdef __cplusplus
extern "C" {{
#endif

/* Names, units and ranges of the parameters; the range that the model was trained in, NaN where that is unknown; names
   of the outputs. */
extern const char *const {name}_parameters[{p}];
extern const char *const {name}_units[{p}];
extern const double {name}_low[{p}];
extern const double {name}_high[{p}];
extern const double {name}_trained_low[{p}];
extern const double {name}_trained_high[{p}];
extern const char *const {name}_outputs[{some}];
extern const char {name}_norm[];
extern const char {name}_error_kind[];
extern const char {name}_fingerprint[];
extern const char {name}_version[];
/* All facts as JSON, in pieces that belong behind each other; NULL ends them. */
extern const char *const {name}_facts[];

int {name}_evaluate(const double *mu, double *output, double *output_error, double *error);
/* The same with a work array of the caller, {work} doubles, instead of the stack. */
int {name}_evaluate_with(const double *mu, double *output, double *output_error, double *error, double *work);
{series}
#ifdef __cplusplus
}}
#endif

#endif
"""

_SERIES_HEADER = """
/* The same at all times: output ({times}, {o}), output_error ({times}, {o}), error ({times}), row after row. */
extern const double {name}_times[{times}];
int {name}_series(const double *mu, double *output, double *output_error, double *error);
int {name}_series_with(const double *mu, double *output, double *output_error, double *error, double *work);
"""

_CHECK = """\
static int {name}_check(const double *mu)
{{
    int found = 0;
    for (int i = 0; i < {p}; i++) {{
        if (mu[i] - mu[i] != 0.0) return 2;
        if (mu[i] < {name}_low[i] || mu[i] > {name}_high[i]) found = 1;
    }}
    return found;
}}

static void {name}_blank(double *values, int count)
{{
    for (int i = 0; values && i < count; i++) values[i] = NAN;
}}
"""

_EVALUATE = """
int {name}_{function}_with(const double *mu, double *output, double *output_error, double *error, double *work)
{{
    int failed = {name}_check(mu);
    if (!failed) {{
        {name}_run(mu, work);
{copies}
    }}
    if (failed) {{
        {name}_blank(output, {outputs});
        {name}_blank(output_error, {outputs});
        {name}_blank(error, {errors});
    }}
    return failed;
}}

int {name}_{function}(const double *mu, double *output, double *output_error, double *error)
{{
    double work[{NAME}_WORK];
    return {name}_{function}_with(mu, output, output_error, error, work);
}}
"""


@dataclass(frozen=True)
class Source:
    """C text of a model.

    Attributes
    ----------
    name : str
        With which all names in it begin.
    header, source : str
    facts : Facts
    work : int
        Doubles of the work array.
    errors : bool
        There are errors of the outputs.
    """

    name: str
    header: str
    source: str
    facts: Facts
    work: int
    errors: bool


def source_of(program: Program, stem: str) -> Source:
    """The C text of a program.

    Parameters
    ----------
    program : Program
        With facts.
    stem : str
        Of the files' names; the functions are called ``romflow_<stem>_evaluate``.

    Raises
    ------
    NotSupported
        The program has an operation that has no C text, or no facts.
    """
    facts = program.facts
    if facts is None:
        raise NotSupported("a program without facts has no C text; make it by romflow.export.program.build")
    printer = Printer(program)
    name = f"romflow_{identifier(stem)}"
    times = 0 if facts.times is None else len(facts.times)
    o = len(facts.outputs)
    words = {"name": name, "NAME": name.upper(), "p": program.size, "o": o, "some": max(1, o), "times": times,
             "work": printer.memory.peak}
    places = {result: printer.place(value) for result, value in program.results.items()}
    includes = f"#include \"{file_stem(stem)}.h\"\n\n#include <math.h>\n#include <stddef.h>\n"
    parts = [includes, RESTRICT, *_facts(facts, name),
             *(KERNELS[kernel] for kernel in KERNELS if kernel in printer.kernels), *printer.tables,
             _CHECK.format(**words), _run(name, printer.lines),
             _evaluate(words, "evaluate", [places.get(result) for result in _STEADY], o, 1)]
    if times:
        parts.append(_evaluate(words, "series", [places.get(result) for result in _MOVING], o * times, times))
    return Source(name, _header(facts, words), "\n".join(parts), facts, printer.memory.peak,
                  "output_error" in program.results)


def _header(facts: Facts, words: dict[str, object]) -> str:
    noun = f"error {facts.error_kind}" if facts.error_kind in ("bound", "indicator") else "error"
    promise = "" if facts.error_kind == "bound" else " An indicator is no bound: the true error may be larger."
    call = f"int {words['name']}_evaluate(mu[{words['p']}], output[{words['o']}], output_error[{words['o']}], &error)"
    series = _SERIES_HEADER.format(**words) if words["times"] else ""
    if words["times"]:
        promise += f"\n   Both are those of the last time; {words['name']}_series gives all times."
    described = (f"{column} [{unit}]" if unit else column
                 for column, unit in zip(facts.columns, facts.units, strict=True))
    kilo = -(-int(str(words["work"])) * 8 // 1000)
    return _HEADER.format(kilo=kilo, title=comment(facts.name), noun=noun, promise=promise, call=call, series=series,
                          norm=comment(facts.norm), parameters=_listed(described), outputs=_listed(facts.outputs),
                          **words)


def _listed(names: Iterable[str]) -> str:
    return wrapped((comment(name) for name in names), "     ").strip() or "none"


def _run(name: str, lines: list[str]) -> str:
    return "\n".join([f"static void {name}_run(const double *mu, double *w)", "{", "    (void)mu;", "    (void)w;",
                      *lines, "}"])


def _evaluate(words: dict[str, object], function: str, places: list[Place | None], outputs: int, errors: int) -> str:
    """A function that checks, runs and copies the results; those that are not there are NaN."""
    lines = []
    for target, place, count in zip(("output", "output_error", "error"), places, (outputs, outputs, errors),
                                    strict=True):
        if count == 0:
            continue
        if place is None:
            lines.append(f"{words['name']}_blank({target}, {count});")
            continue
        value = replace(place, array="work").at("i") if place.array == "w" else place.at("i")
        if target == "output":
            lines.append(f"for (int i = 0; i < {count}; i++) if ({value} - {value} != 0.0) failed = 3;")
        guard = "" if target == "output" else f"if ({target}) "
        lines.append(f"{guard}for (int i = 0; i < {count}; i++) {target}[i] = {value};")
    copies = "\n".join(f"        {line}" for line in lines)
    return _EVALUATE.format(**(words | {"function": function, "copies": copies, "outputs": outputs,
                                        "errors": errors}))


def _facts(facts: Facts, name: str) -> list[str]:
    p = len(facts.columns)
    trained = facts.training or {"low": [math.nan] * p, "high": [math.nan] * p}
    found = [_texts(f"{name}_parameters[{p}]", facts.columns), _texts(f"{name}_units[{p}]", facts.units),
             _numbers(f"{name}_low[{p}]", facts.low), _numbers(f"{name}_high[{p}]", facts.high),
             _numbers(f"{name}_trained_low[{p}]", trained["low"]),
             _numbers(f"{name}_trained_high[{p}]", trained["high"]),
             _texts(f"{name}_outputs[{max(1, len(facts.outputs))}]", facts.outputs or ("",)),
             _text(f"{name}_norm", facts.norm), _text(f"{name}_error_kind", facts.error_kind),
             _text(f"{name}_fingerprint", facts.fingerprint), _text(f"{name}_version", facts.version)]
    if facts.times is not None:
        found.append(_numbers(f"{name}_times[{len(facts.times)}]", facts.times))
    whole = json.dumps(facts.plain(), sort_keys=True)
    pieces = [string(whole[i:i + _PIECE]) for i in range(0, len(whole), _PIECE)]
    found.append(f"const char *const {name}_facts[] = {{\n{wrapped([*pieces, 'NULL'])}\n}};\n")
    return ["\n".join(found)]


def _texts(name: str, texts: Iterable[str]) -> str:
    return f"const char *const {name} = {{\n{wrapped(string(text) for text in texts)}\n}};"


def _text(name: str, text: str) -> str:
    return f"const char {name}[] = {string(text)};"


def _numbers(name: str, values: Iterable[float]) -> str:
    return f"const double {name} = {{\n{wrapped(number(float(value)) for value in values)}\n}};"
