"""The command `romflow`."""

from __future__ import annotations

import sys
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

import romflow
from romflow.cli.signals import ended_by_sigterm
from romflow.core.errors import InputError, RomflowError
from romflow.core.files import refused, write_atomic
from romflow.core.names import one_line

if TYPE_CHECKING:
    from romflow.rom.model import ReducedModel

app = typer.Typer(name="romflow", no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False,
                  help="Certified reduced-order models from expensive parametrised simulations.")

StudyFile = Annotated[Path, typer.Argument(metavar="STUDY", help="The study file (TOML).")]
ModelFile = Annotated[Path, typer.Argument(metavar="MODEL", help="A reduced model, model.h5.")]
Until = Annotated[float | None, typer.Option("--until", metavar="TIME", help="For a model of mechanics: the last time, "
                                             "beyond the training or before its end.")]
Cycles = Annotated[float | None, typer.Option("--cycles", help="The same as a number of cycles of the loading.")]
RunFolder = Annotated[Path, typer.Argument(metavar="DIR", help="A run folder.")]

_WRONG_INPUT, _INTERRUPTED = 2, 130


def main() -> None:
    """Run the command line; errors of use end with one sentence on standard error and exit code 2."""
    try:
        app()
    except RomflowError as error:
        _fail(str(error))
    except OSError as error:
        _fail(f"{error.filename or 'a file'}: {(error.strerror or str(error)).lower()}; check the path and the disk")


def _fail(message: str) -> None:
    print(f"romflow: {one_line(message)}", file=sys.stderr)
    sys.exit(_WRONG_INPUT)


def _refuse_same(source: Path, target: Path, option: str = "--output") -> None:
    if target.exists() and source.exists() and target.samefile(source):
        raise InputError(f"{option} {target} is the file that is read; choose another name")


def _version(wanted: bool) -> None:
    if wanted:
        print(romflow.__version__)
        raise typer.Exit


@app.callback()
def _options(version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True,
                                                   help="Print the version.")] = False) -> None:
    """Options before the command."""


@app.command()
def init(folder: Annotated[Path, typer.Argument(metavar="DIR", help="The folder to make.")]) -> None:
    """Make a study folder with a commented study.toml that runs as it is."""
    target = folder / "study.toml"
    if target.exists():
        raise InputError(f"{target} exists already; choose another folder, or edit that file")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise refused("make the folder", folder, error) from error
    write_atomic(target, files("romflow").joinpath("study_template.toml").read_bytes())
    print(f"Wrote {target}. Next: romflow check {target}; romflow run {target}")


@app.command()
def check(study: StudyFile,
          time: Annotated[bool, typer.Option("--time", help="Solve once to estimate the core-seconds.")] = False,
          ranks: Annotated[int | None, typer.Option("--ranks", help="As if [cluster] ranks were this.")] = None,
          workers: Annotated[int | None, typer.Option("--workers", help="As if [cluster] workers were this.")] = None
          ) -> None:
    """Check a study and print its plan: solves, unknowns, bytes, core-seconds; what MPI ranks will take."""
    from romflow.cli.show import print_plan
    from romflow.study import Study

    print_plan(Study.from_file(study).on(ranks, workers).plan(time_one=time))


@app.command()
def run(study: StudyFile,
        out: Annotated[Path | None, typer.Option("--out", metavar="DIR",
                                                 help="The run folder; default: runs/<name> beside the study.")] = None,
        submit: Annotated[bool, typer.Option("--submit", help="Run the whole study as a batch job.")] = False
        ) -> None:
    """Run a study, or go on where an earlier run in the same folder stopped."""
    from romflow.cli.progress import make_watcher
    from romflow.cli.show import print_result
    from romflow.cli.submission import submit_run
    from romflow.study import Study

    loaded = Study.from_file(study)
    folder = out or study.resolve().parent / "runs" / loaded.name
    if submit:
        print(submit_run(loaded, study.resolve(), folder.resolve()))
        return
    try:
        with ended_by_sigterm(), make_watcher() as watcher:
            result = loaded.run(folder, watcher)
    except KeyboardInterrupt:
        print("romflow: stopped; what was solved is stored, and the same command goes on from there", file=sys.stderr)
        raise typer.Exit(_INTERRUPTED) from None
    print_result(result.summary, folder)


@app.command()
def status(folder: RunFolder) -> None:
    """Say what is done, running and failed in a run folder, and why."""
    from romflow.cli.show import print_status
    from romflow.cli.status import read_status

    print_status(read_status(folder))


@app.command("eval")
def evaluate(model: ModelFile,
             source: Annotated[Path, typer.Option("--input", help="CSV with one column a parameter.")],
             target: Annotated[Path, typer.Option("--output", help="CSV to write: outputs and error per row.")],
             series: Annotated[Path | None, typer.Option("--series", help="For a model that moves in time: CSV to "
                                                         "write, outputs and error per row and time.")] = None,
             until: Until = None,
             cycles: Cycles = None) -> None:
    """Evaluate a reduced model for every row of a CSV file: outputs and error estimates."""
    from romflow.parameters.tables import read_table
    from romflow.rom.loading import load
    from romflow.rom.tables import check_moving, with_times, write_answers, write_series

    _refuse_same(source, target)
    _refuse_same(model, target)
    rom = with_times(load(model), until, cycles)
    if series is not None:
        _refuse_same(source, series, "--series")
        _refuse_same(model, series, "--series")
        if series.resolve() == target.resolve():
            raise InputError(f"--series {series} is the file of --output too; choose another name")
        check_moving(rom)
    mu = rom.parameters.validate(read_table(source, rom.parameters.columns))
    refused = write_answers(target, rom, mu)
    print(f"Wrote {len(mu)} rows to {target}.")
    if refused and hasattr(rom, "recommender"):
        print(f"{refused} of them were refused, and their outputs are nan: they are far from what the dictionary was "
              "trained on, or their error estimates are above its tolerance", file=sys.stderr)
    elif refused:
        print(f"{refused} of them have no answer, and their outputs are nan: the reduced model has no solution there, "
              "or its law does not know such a temperature", file=sys.stderr)
    if series is not None:
        print(f"Wrote {write_series(series, rom, mu)} rows to {series}.")


@app.command()
def export(model: ModelFile,
           kind: Annotated[str, typer.Option("--format", help="npz, csv, vtu, onnx, c, fmu, or path/file.py:Class.")],
           target: Annotated[Path, typer.Option("--output", help="The file to write.")],
           option: Annotated[list[str] | None, typer.Option("--option", metavar="KEY=VALUE",
                                                            help="An option of the format; may be repeated.")] = None,
           check: Annotated[bool, typer.Option("--check", help="Run the file, without romflow, at random parameters "
                                               "and print how far it is from the model.")] = False,
           until: Until = None,
           cycles: Cycles = None) -> None:
    """Write a reduced model in a format that others read without romflow."""
    from romflow.core import registry
    from romflow.core.schema import parse_option
    from romflow.rom.loading import load
    from romflow.rom.tables import with_times

    _refuse_same(model, target)
    options = dict(parse_option(text) for text in option or [])
    exporter = registry.build("exporter", kind, Path.cwd(), options, base=Path.cwd())
    rom = with_times(load(model), until, cycles)
    for path in exporter.write(rom, target):
        print(f"Wrote {path}.")
    if check and not _checked(rom, exporter, target):
        raise typer.Exit(1)


def _checked(rom: ReducedModel, exporter: Any, target: Path) -> bool:
    """Print how far the exported file is from the model, and whether that is what rounding lets it reach."""
    from romflow.export.checking import check

    found = check(rom, exporter, target)
    print(found)
    if not found.passed:
        print(f"{', '.join(found.wrong)} of the file: more than rounding explains; do not use it", file=sys.stderr)
    return found.passed


@app.command()
def serve(model: Annotated[Path | None, typer.Argument(metavar="[MODEL]", help="A reduced model, model.h5.")] = None,
          study: Annotated[Path | None, typer.Option("--study", help="Serve the full-order model of this study "
                                                     "too.")] = None,
          out: Annotated[Path | None, typer.Option("--out", metavar="DIR", help="The run folder of that study, which "
                                                   "keeps the solves; default: runs/<name> beside it.")] = None,
          host: Annotated[str, typer.Option("--host", help="Address to listen at.")] = "127.0.0.1",
          port: Annotated[int, typer.Option("--port", help="Port; 0 takes a free one.")] = 4242) -> None:
    """Serve models to other programs over HTTP by the UM-Bridge protocol, on this machine alone unless told."""
    from romflow.cli.serve import serve_models

    if model is None and study is None:
        raise InputError("there is nothing to serve; give MODEL, --study STUDY, or both")
    with ended_by_sigterm():
        serve_models(model, study, out, host, port)


@app.command()
def report(folder: RunFolder) -> None:
    """Write the HTML report of a run folder again."""
    from romflow.report.data import ReportData
    from romflow.report.page import write_report

    print(f"Wrote {write_report(folder / 'report.html', ReportData.from_folder(folder))}.")


@app.command()
def verify(target: Annotated[str, typer.Argument(metavar="FILE.py:CLASS", help="The class to verify.")],
           study: Annotated[Path | None, typer.Option("--study", help="Build a model as this study does.")] = None
           ) -> None:
    """Run the conformance suite on your own model, sampler, reductor or exporter."""
    from romflow.cli.show import print_checks
    from romflow.testing import verify as run_suite

    outcome = run_suite(target, Path.cwd(), study)
    print_checks(outcome)
    if not outcome.passed:
        raise typer.Exit(1)

