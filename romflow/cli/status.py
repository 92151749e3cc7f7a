"""What a run folder says of its run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from romflow.cli.submission import JOB
from romflow.core.errors import StoreError
from romflow.core.files import FolderLock, read_json
from romflow.store.snapshots import SnapshotStore
from romflow.walk.watcher import STATUS, SUMMARY


def read_status(folder: Path) -> dict[str, Any]:
    """Rows (name, text) and one line for each failed solve.

    Raises
    ------
    StoreError
        The folder holds no run.
    """
    if not (folder / STATUS).is_file() and not (folder / "store").is_dir():
        raise StoreError(f"{folder} holds no run: it has neither {STATUS} nor store/; name the folder given to "
                         "`romflow run --out`")
    state = read_json(folder / STATUS) if (folder / STATUS).is_file() else {}
    rows = [("study", state.get("study", "unknown")), ("state", _state(folder, state))]
    if (folder / JOB).is_file():
        rows.append(("batch job", (folder / JOB).read_text(encoding="utf-8").strip()))
    failures: list[dict[str, Any]] = []
    if (folder / "store").is_dir():
        store = SnapshotStore.open(folder / "store")
        failures = store.failures()
        rows.append(("snapshots stored", str(len(store))))
        sketches = sum(1 for _ in (folder / "store" / "sketches").glob("*/snapshots/*/*.h5"))
        rows += [("sketches stored", str(sketches))] if sketches else []
    rows.append(("failed solves", str(len(failures))))
    if (folder / SUMMARY).is_file():
        rows += _summary_rows(read_json(folder / SUMMARY))
    return {"rows": rows, "failures": [_failure_line(item) for item in failures]}


def _state(folder: Path, state: dict[str, Any]) -> str:
    if not _locked(folder):
        if state.get("state") == "running":
            return f"killed during {state.get('stage')}; `romflow run` goes on from there"
        reason = f" ({state['reason']})" if state.get("reason") else ""
        return f"{state.get('state', 'unknown')}{reason}"
    return (f"running: {state.get('stage')}, {state.get('solved')} solved, {state.get('reused')} taken from the store, "
            f"{state.get('failed')} failed (as of {state.get('updated')})")


def _locked(folder: Path) -> bool:
    try:
        with FolderLock(folder):
            return False
    except StoreError:
        return True


def _summary_rows(summary: dict[str, Any]) -> list[tuple[str, str]]:
    offline, validation = summary["offline"], summary["validation"]
    rows = [("basis size", str(offline["basis_size"])), ("training error", str(offline["training_error"]))]
    if validation["max_relative_error"] is not None:
        rows.append(("validation", f"largest relative error {validation['max_relative_error']:.3g} on "
                                   f"{validation['size']} parameters; {validation['error_kind']} "
                                   f"{validation['max_error_estimate']:.3g}"))
    elif validation.get("refused"):
        rows.append(("validation", f"all {validation['refused']} parameters were refused"))
    return rows


def _failure_line(item: dict[str, Any]) -> str:
    code = "" if item.get("exit_code") is None else f" (exit code {item['exit_code']})"
    return f"mu = {item['mu']}: {item['message']}{code}"
