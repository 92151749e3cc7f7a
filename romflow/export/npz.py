"""NumPy arrays and, beside them, a short evaluator as text that needs NumPy alone."""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from romflow.core.errors import ConfigError, StoreError
from romflow.core.files import write_atomic
from romflow.core.fingerprint import canonical_json
from romflow.core.names import shown
from romflow.export.checking import checked_rows, run_isolated
from romflow.export.program.build import build
from romflow.export.program.numpy_evaluator import constants_in, evaluator_source
from romflow.rom.model import ReducedModel

# Arrays of fields alone, in a local model of a dictionary behind its number.
_FIELDS = re.compile(r"(\d+/)?(basis|mesh/.+)")
_WRITTEN = (1980, 1, 1, 0, 0, 0)
_RUNNER = """
import importlib.util
spec = importlib.util.spec_from_file_location("evaluator", words[0])
module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
answer.update((name, value.T) for name, value in module.answers(given["mu"]).items())
"""


class Npz:
    """The arrays of the model as .npz and an evaluator ``<stem>_evaluate.py`` of pure NumPy beside them.

    The arrays have the names that ``model.h5`` uses, with "space/low" and "space/high" of the parameters, "metadata"
    and "facts" (`romflow.export.program.program.Facts`) as JSON text, and under "program/" what the evaluator needs
    beside them. Nothing is pickled: ``numpy.load(path, allow_pickle=False)`` reads all.

    Parameters
    ----------
    fields : bool
        Also write the basis (n, r) and the mesh, which the evaluator does not need.

    Raises
    ------
    ConfigError
        `fields` is neither true nor false.

    Examples
    --------
    >>> Npz(fields=False).suffix
    '.npz'
    """

    suffix = ".npz"

    def __init__(self, fields: bool = True) -> None:
        if not isinstance(fields, bool):
            raise ConfigError(f"npz: fields = {shown(fields)} is neither true nor false; give one of them.")
        self.fields = fields

    def write(self, rom: ReducedModel, path: Path) -> list[Path]:
        """Write arrays to `path` and the evaluator beside them; the same model gives the same bytes.

        Raises
        ------
        NotSupported
            The model is of a kind that has no evaluator.
        StoreError
            A file cannot be written.
        """
        path = Path(path)
        evaluator = path.with_name(f"{path.stem}_evaluate.py")
        program = build(rom)
        _, arrays, metadata = rom.to_arrays()
        kept = {name: values for name, values in arrays.items() if self.fields or not _FIELDS.fullmatch(name)}
        texts, added = constants_in(program, kept)
        source = evaluator_source(program, path.name, rom.parameters.centre(), texts.__getitem__)
        kept |= added | {"space/low": rom.parameters.low, "space/high": rom.parameters.high}
        facts = {} if program.facts is None else program.facts.plain()
        kept |= {"metadata": _json(metadata), "facts": _json(facts)}
        write_atomic(path, _image(kept))
        write_atomic(evaluator, source.encode("utf-8"))
        return [path, evaluator]

    def answers(self, path: Path, mu: Any) -> dict[str, NDArray[np.float64]]:
        """All that the evaluator of the file answers at mu (b, p), run where there is no romflow; the batch first.

        Raises
        ------
        ShapeError
            mu is no matrix.
        StoreError
            The evaluator is not there or fails, or mu is not within the space.
        """
        place = Path(path).resolve()
        evaluator = place.with_name(f"{place.stem}_evaluate.py")
        if not evaluator.is_file():
            raise StoreError(f"{evaluator} is no file; the evaluator belongs beside the arrays, export them again")
        return run_isolated(_RUNNER, {"mu": checked_rows("npz", mu)}, [str(evaluator)])


def _json(value: Any) -> NDArray[Any]:
    return np.array(canonical_json(value).decode("ascii"))


def _image(arrays: Mapping[str, NDArray[Any]]) -> bytes:
    """The bytes of an .npz file without a date and without pickles."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in sorted(arrays):
            member = io.BytesIO()
            np.lib.format.write_array(member, np.asarray(arrays[name]), allow_pickle=False)
            archive.writestr(zipfile.ZipInfo(f"{name}.npy", _WRITTEN), member.getvalue(), zipfile.ZIP_DEFLATED)
    return buffer.getvalue()
