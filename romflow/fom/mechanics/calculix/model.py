"""The model kind "calculix": histories that CalculiX solves, from the user's input or from one made of the study."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from romflow.core.errors import ConfigError, InputError, SolveFailed
from romflow.core.fingerprint import fingerprint
from romflow.core.names import shown
from romflow.fom.mechanics.calculix.inp import expanded, filled, placeholders, read_input
from romflow.fom.mechanics.calculix.run import CalculixRun, checked_command, run_calculix
from romflow.fom.mechanics.calculix.write import write_input
from romflow.fom.mechanics.field_files import CalculixFields
from romflow.fom.mechanics.foreign import Foreign, MeshFields
from romflow.fom.mechanics.imported import element_for
from romflow.fom.mechanics.making import Description, Tables
from romflow.parameters.space import ParameterSpace

__all__ = ["Calculix"]

Array = NDArray[np.float64]
_JOB = "job"


class Calculix(Foreign):
    """Displacements by CalculiX at the times of [time]; the problem that the study describes rebuilds the rest.

    With `input`, the text of that file is solved with the parameters in the place of ``${name}``; the study describes
    the same problem once more, and each history is refused where its loads do not balance the stresses. Without, the
    input is written from the study (one step of CalculiX for each time).

    Parameters
    ----------
    parameters : ParameterSpace
    law, mesh, element, supports, loads, temperature, amplitudes, outputs, reference_force
        The problem, as of the kind "mechanics"; `mesh` is `input` where that is given alone.
    input : str, optional
        Input file of CalculiX, relative to the study. It must write U at the times of [time], best in the binary form
        (*NODE OUTPUT).
    command : str or list of str
        The program, and arguments before ``-i job``.
    timeout : float, optional
        Time limit of one run in seconds.
    tolerance : float
        Of CalculiX's residual, where the input is written here.
    balance : float
        Share of the forces that the described loading may leave unbalanced.
    norm : {"L2", "H1"}
    base : path

    Raises
    ------
    ConfigError, InputError
        An option is wrong; a placeholder is no parameter, or a parameter is nowhere in the input; CalculiX is not
        installed.
    NotSupported
        CalculiX has no such element or law, where the input is written here (at the first solve).
    """

    def __init__(self, parameters: ParameterSpace, law: Mapping[str, Any], input: str | None = None,
                 mesh: str | Mapping[str, Any] | None = None, element: str | None = None, supports: Tables = (),
                 loads: Tables = (), temperature: Any = None, amplitudes: Mapping[str, Any] | Tables = (),
                 outputs: Tables = (), reference_force: float = 0.0, command: str | Sequence[str] = "ccx",
                 timeout: float | None = None, tolerance: float = 1e-5, balance: float = 0.02, norm: str = "L2",
                 base: str | Path = ".") -> None:
        if timeout is not None and (isinstance(timeout, bool) or not isinstance(timeout, int | float) or timeout <= 0):
            raise ConfigError(f"timeout = {shown(timeout)}; the rule is a number of seconds above 0")
        if not isinstance(tolerance, float) or not 0.0 < tolerance < 1.0:
            raise ConfigError(f"tolerance = {shown(tolerance)}; the rule is a number between 0 and 1")
        self._command, self._timeout, self._tolerance = checked_command(command), timeout, tolerance
        self._input = None if input is None else Path(base, input)
        self._text = None if self._input is None else _checked_text(self._input, parameters)
        mesh = input if mesh is None else mesh
        about = Description(law, mesh, element_for(mesh, element, base), supports, loads, temperature, amplitudes,
                            outputs, reference_force)
        source = {"tolerance": tolerance} if self._text is None else {"input": fingerprint(self._text)}
        super().__init__(parameters, about, about.solid(base), base, norm, balance, {"kind": "calculix", **source})
        if self._input is not None:
            self.files = (*self.files, *read_input(self._input).files)

    def fields(self, mu: Array, times: Array) -> tuple[MeshFields, SolveFailed | None]:
        """Run CalculiX at mu (p,) in a folder that is removed afterwards.

        Raises
        ------
        SolveFailed
            Not even the first step was found; `report` has what was printed last.
        """
        with tempfile.TemporaryDirectory(prefix="romflow-", ignore_cleanup_errors=True) as folder:
            path = Path(folder).resolve() / f"{_JOB}.inp"
            if self._text is None:
                write_input(self.mechanics, mu, times, path, self._tolerance)
            else:
                values = dict(zip(self.parameters.columns, mu.tolist(), strict=True))
                path.write_text(filled(self._text, values, str(self._input)), encoding="utf-8")
            found = run_calculix(path.parent, _JOB, self._command, self._timeout)
        return self._on_mesh(found, mu)

    def _on_mesh(self, found: CalculixRun, mu: Array) -> tuple[MeshFields, SolveFailed | None]:
        times = found.times()
        failure = None if found.failure is None else found.error(mu, float(times[-1]) if times.size else None)
        if found.results is None or not times.size:
            raise found.error(mu, None) if failure is None else failure
        who = Path(f"{_JOB}.frd") if self._input is None else self._input.with_suffix(".frd")
        fields = MeshFields(CalculixFields(found.results, found.converged), self.mechanics.space.nodes, who,
                            seconds=found.facts["seconds"])
        return fields, failure


def _checked_text(path: Path, parameters: ParameterSpace) -> str:
    """The input with all that it includes, once its placeholders are known to be the parameters."""
    if not path.is_file():
        raise InputError(f"the input {path} does not exist; check the path")
    text = expanded(path)
    filled(text, dict.fromkeys(parameters.columns, 0.0), str(path))
    unused = [name for name in parameters.columns if name not in placeholders(text)]
    if unused:
        raise ConfigError(f"the parameter {unused[0]!r} is nowhere in {path}; write ${{{unused[0]}}} where its value "
                          "belongs, or remove the parameter")
    return text
