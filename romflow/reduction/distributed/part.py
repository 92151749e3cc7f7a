"""One part of a split model as the kernels see it: its operators, its rows of the snapshots, and its files."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse as sp

from romflow.core.errors import StoreError
from romflow.linalg.compression.blocks import MEMORY
from romflow.linalg.compression.source import SnapshotSource
from romflow.linalg.compression.sweeps import ByColumns
from romflow.linalg.inner_product import InnerProduct
from romflow.store.part_arrays import part_file, read_part_arrays, write_part_arrays
from romflow.store.snapshots import SnapshotStore
from romflow.store.work_arrays import read_values, work_file, write_work_array

#: Folder of a store in which the reduction works.
FOLDER = "reduction"
#: Folder in it with the parts' own operators.
OPERATORS = "operators"
#: Bytes of matrices that a process keeps between kernels.
_KEPT = 512 << 20
_ARRAYS = ("data", "indices", "indptr")

_stores: dict[tuple[str, int], SnapshotStore] = {}
_products: OrderedDict[tuple[str, int, int], tuple[InnerProduct, tuple[int, int]]] = OrderedDict()


@dataclass(frozen=True)
class Terms:
    """Affine terms of a part as :class:`romflow.fom.distributed.part.PartOperators` has them."""

    operator: list[sp.csr_array]
    rhs: np.ndarray
    outputs: np.ndarray | None


class Part:
    """Part `number` of a model whose snapshots, bases and representatives lie in a store.

    Every array has a row for each unknown of the part's closure, those that it owns first.

    Parameters
    ----------
    fom : DistributedModel
    store_folder : path
    number : int
    """

    def __init__(self, fom: Any, store_folder: str | Path, number: int) -> None:
        self.fom, self.store_folder, self.number = fom, Path(store_folder), number

    def folder(self, name: str) -> Path:
        """Folder of the files of this name; an absolute path stands for itself."""
        return self.store_folder / FOLDER / name

    def read(self, name: str) -> np.ndarray:
        """The array (n_c, j) that was written under this name."""
        return read_values(self.folder(name), self.number)

    def write(self, name: str, values: np.ndarray, sealed: bool = False) -> None:
        """Keep an array (n_c, j) under a name; in a sealed file where an MPI job is to read it."""
        if sealed:
            write_part_arrays(self.folder(name), self.number, {"values": np.ascontiguousarray(values)})
        else:
            write_work_array(self.folder(name), self.number, values)

    def read_all(self, blocks: Sequence[Sequence[Any]]) -> np.ndarray:
        """The first columns (n_c, sum of widths) of several arrays side by side, from pairs (name, width)."""
        found = [self.read(name)[:, :width] for name, width in blocks]
        return np.hstack(found) if found else np.empty((self.n, 0))

    @property
    def n(self) -> int:
        """Unknowns of the closure."""
        return int(self.product.X.shape[0])  # type: ignore[union-attr]

    @property
    def product(self) -> InnerProduct:
        """The part's share of X, from its own cells alone."""
        return self._product[0]

    @property
    def rows(self) -> tuple[int, int]:
        """Global number of the first unknown that the part owns, and how many it owns."""
        return self._product[1]

    @property
    def _product(self) -> tuple[InnerProduct, tuple[int, int]]:
        """Product and rows; a process keeps those that it used last."""
        key = (str(self.store_folder), self.number, self._stamp())
        if key not in _products:
            arrays = self._stored("product")
            start, owned = (int(number) for number in arrays["rows"])
            product = InnerProduct(_matrix(arrays, "product"), str(getattr(self.fom, "norm", "X")))
            _products[key] = product, (start, owned)
            while len(_products) > 1 and sum(_bytes(kept) for kept, _ in _products.values()) > _KEPT:
                _products.popitem(last=False)
        _products.move_to_end(key)
        return _products[key]

    @cached_property
    def terms(self) -> Terms:
        """Operators, right-hand side and outputs."""
        arrays = self._stored("operator")
        return Terms([_matrix(arrays, f"operator/{q}") for q in range(int(arrays["Q"]))], arrays["rhs"],
                     arrays.get("outputs"))

    def snapshots(self, mu: np.ndarray) -> np.ndarray:
        """Rows (n_c, k) of the snapshots at mu (k, p)."""
        return _store(self.store_folder).part_matrix(mu, self.number)

    def sweep(self, mu: np.ndarray) -> ByColumns:
        """Passes over the rows of the snapshots at mu (k, p), in the part's share of X."""
        return ByColumns(_PartSource(self, mu), self.product, MEMORY, None)

    def _stored(self, name: str) -> dict[str, np.ndarray]:
        """Arrays of the operators, which the first to need them writes."""
        folder = self.folder(OPERATORS) / name
        if not part_file(folder, self.number).is_file():
            self._write_operators()
        return read_part_arrays(folder, self.number)[0]

    def _stamp(self) -> int:
        """When the operators were written; another run in the same folder writes them anew."""
        file = part_file(self.folder(OPERATORS) / "product", self.number)
        if not file.is_file():
            self._write_operators()
        return file.stat().st_mtime_ns

    def _write_operators(self) -> None:
        found = self.fom.part_operators(self.store_folder, self.number)
        arrays = {"Q": np.array(len(found.operator)), "rhs": found.rhs}
        if found.outputs is not None:
            arrays["outputs"] = found.outputs
        for q, A in enumerate(found.operator):
            arrays |= _arrays(A, f"operator/{q}")
        folder = self.folder(OPERATORS)
        write_part_arrays(folder / "operator", self.number, arrays)
        write_part_arrays(folder / "product", self.number,
                          {"rows": np.array([found.start, found.owned])} | _arrays(found.product, "product"))


class _PartSource(SnapshotSource):
    """Rows of one part of stored snapshots."""

    by_rows = False
    best = MEMORY

    def __init__(self, part: Part, mu: np.ndarray) -> None:
        self._part, self._mu = part, mu
        self.n, self.k = part.n, len(mu)

    def columns(self, part: slice) -> np.ndarray:
        return self._part.snapshots(self._mu[part])


def remove(store_folder: str | Path, names: Sequence[str], parts: int) -> None:
    """Remove the files of these names that are there."""
    for folder in (Path(store_folder) / FOLDER / name for name in names):
        for part in range(parts):
            part_file(folder, part).unlink(missing_ok=True)
            work_file(folder, part).unlink(missing_ok=True)
        if folder.is_dir() and not any(folder.iterdir()):
            folder.rmdir()


def _store(folder: Path) -> SnapshotStore:
    """The store in a folder; a process opens it once, so that it checks each file's seal once."""
    key = str(folder), (folder / "store.json").stat().st_mtime_ns
    if key not in _stores:
        _stores.clear()
        _stores[key] = SnapshotStore.open(folder)
    return _stores[key]


def _arrays(A: sp.csr_array, name: str) -> dict[str, np.ndarray]:
    return {f"{name}/shape": np.array(A.shape)} | {f"{name}/{key}": getattr(A, key) for key in _ARRAYS}


def _matrix(arrays: Mapping[str, np.ndarray], name: str) -> sp.csr_array:
    try:
        rows, columns = (int(size) for size in arrays[f"{name}/shape"])
        return sp.csr_array(tuple(arrays[f"{name}/{key}"] for key in _ARRAYS), shape=(rows, columns))
    except KeyError as error:
        raise StoreError(f"the operators of a part lack {error}; remove the folder '{FOLDER}' of the store") from None


def _bytes(product: InnerProduct) -> int:
    X = product.X
    return 0 if X is None else sum(getattr(X, key).nbytes for key in _ARRAYS)


def column_blocks(width: int, length: int, memory: int = MEMORY) -> Iterator[slice]:
    """Columns of an array (length, width), as many at a time as the memory holds."""
    step = max(1, memory // (8 * max(length, 1)))
    for start in range(0, width, step):
        yield slice(start, min(start + step, width))
