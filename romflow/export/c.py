"""One pair of a C header and source that answers as the reduced model does, without dependencies."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from romflow.core.errors import InputError
from romflow.core.files import write_atomic
from romflow.export.compiled.running import run_c
from romflow.export.compiled.source import source_of
from romflow.export.compiled.text import file_stem
from romflow.export.program.build import build
from romflow.rom.model import ReducedModel

__all__ = ["C"]


class C:
    """The online stage as ``<stem>.c`` and ``<stem>.h``: C99 that needs the mathematics of the standard library only.

    ``int romflow_<stem>_evaluate(const double *mu, double *output, double *output_error, double *error)`` gives the
    outputs, the error of each and that of the state, 0 if all went well, 1 if a parameter is outside its range (then
    all is NaN), 2 if one is not finite and 3 if the arithmetic broke down. A model that moves in time has
    ``romflow_<stem>_series`` too, for all its times. Names, units, ranges, errors when the model was made and the
    fingerprint of the study are constants of the files. No memory is allocated; many threads may call at once.

    Examples
    --------
    >>> C().suffix
    '.c'
    """

    suffix = ".c"

    def write(self, rom: ReducedModel, path: Path) -> list[Path]:
        """Write `path` and the header beside it, which has the same name, or a plain one made from it if C needs that.

        Raises
        ------
        InputError
            The name is that of a header.
        NotSupported
            The model cannot be written as a list of array operations.
        StoreError
            A file cannot be written.
        """
        path = Path(path)
        if path.suffix == ".h":
            raise InputError(f"{path} is a name for the header, which is written beside the source; give a name that "
                             "ends in .c")
        found = source_of(build(rom), path.stem)
        header = path.with_name(f"{file_stem(path.stem)}.h")
        write_atomic(header, found.header.encode("ascii"))
        write_atomic(path, found.source.encode("ascii"))
        return [path, header]

    def answers(self, path: Path, mu: np.ndarray) -> dict[str, np.ndarray]:
        """What a file answers at mu (b, p), compiled here and run in a process in which romflow cannot be imported.

        Raises
        ------
        NotSupported
            There is no C compiler.
        StoreError
            The files are no such model.
        """
        return run_c(Path(path), mu)
