"""What a report shows survives storage, and says what it means."""

import dataclasses

import numpy as np
import pytest

from romflow.core.errors import ShapeError, StoreError
from romflow.core.files import write_json
from romflow.report.data import ErrorTable, FieldComparison, ReportData
from romflow.store.artefact import write_artefact
from romflow.store.snapshots import SnapshotStore


def full_data():
    table = ErrorTable(
        [[1.0, 2.0], [3.0, 4.0]], [1e-3, 2e-3], [2e-3, np.nan], [1.0, 2.0], [[1.0, 2.0]], [[1.1, 2.1]], None
    )
    return ReportData(
        summary={"study": {"name": "b", "fingerprint": "f"}, "offline": {"basis_size": 2}},
        study_text="[study]\nname = 'b'\n",
        plan={"zeta": 1, "alpha": 2},
        history=[{"size": 1, "max_estimate": 0.5, "max_relative_estimate": float("inf")}],
        singular_values=np.array([2.0, 1.0]),
        validation=table,
        training=ErrorTable([[1.0, 2.0]], [0.0]),
        snapshot_mu=np.array([[1.0, 2.0]]),
        field=FieldComparison([1.0, 2.0], [1.0, 0.0, 2.0], [1.0, 0.1, 2.0]),
        stages={"solve": 2.0, "check": 1.0},
        solve_seconds=np.array([0.1, np.nan]),
        failures=[{"mu": [1.0], "message": "m"}],
        provenance={"z": {"y": 1}, "a": None},
    )


def test_arrays_and_metadata_hold_everything():
    data = full_data()
    again = ReportData.from_arrays(*data.to_arrays())
    for part in dataclasses.fields(ReportData):
        before, after = getattr(data, part.name), getattr(again, part.name)
        if isinstance(before, ErrorTable | FieldComparison):
            for column in dataclasses.fields(before):
                np.testing.assert_array_equal(getattr(before, column.name), getattr(after, column.name))
        elif isinstance(before, np.ndarray):
            np.testing.assert_array_equal(before, after)
        elif part.name != "history":
            assert before == after, part.name
    assert again.history[0]["max_relative_estimate"] is None
    assert list(again.stages) == ["solve", "check"] and list(again.plan) == ["zeta", "alpha"]
    assert again.validation.output_estimate is None


def test_folder_round_trip_and_summary_file_wins(tmp_path):
    data = full_data()
    assert data.save(tmp_path) == tmp_path / "report-data.h5"
    assert ReportData.from_folder(tmp_path).summary == data.summary
    write_json(tmp_path / "summary.json", {"study": {"name": "newer"}})
    again = ReportData.from_folder(tmp_path)
    assert again.summary == {"study": {"name": "newer"}} and again.rom is None
    np.testing.assert_array_equal(again.field.truth, data.field.truth)


def test_folder_without_a_run_is_refused(tmp_path):
    with pytest.raises(StoreError, match="holds no run"):
        ReportData.from_folder(tmp_path)


def test_folder_of_a_run_that_failed_shows_its_failures(tmp_path):
    store = SnapshotStore(tmp_path / "store", {"model": "x"}, ("a", "b"))
    store.record_failure(np.array([1.0, 2.0]), {"message": "no licence", "exit_code": 3})
    write_json(
        tmp_path / "status.json", {"state": "stopped", "study": "s", "solved": 0, "failed": 1, "reason": "all failed"}
    )
    data = ReportData.from_folder(tmp_path)
    assert data.summary["study"]["name"] == "s" and data.summary["offline"]["snapshots_failed"] == 1
    assert data.failures[0]["mu"] == {"a": 1.0, "b": 2.0} and data.failures[0]["exit_code"] == 3
    assert data.plan["reason"] == "all failed"


def test_another_artefact_is_refused(tmp_path):
    write_artefact(tmp_path / "report-data.h5", "affine", {"basis": np.eye(2)}, {})
    with pytest.raises(StoreError, match="holds a 'affine' and no report data"):
        ReportData.from_folder(tmp_path)


def test_damaged_data_is_refused(tmp_path):
    file = full_data().save(tmp_path)
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 0xFF
    file.write_bytes(bytes(content))
    with pytest.raises(StoreError, match="damaged"):
        ReportData.from_folder(tmp_path)


@pytest.mark.parametrize(
    "columns",
    [
        {"true_error": [1.0]},
        {"true_error": [[1.0, 2.0]]},
        {"true_error": [1.0, 2.0], "estimate": [1.0]},
        {"true_error": [1.0, 2.0], "outputs_true": [1.0, 2.0]},
        {"true_error": [1.0, 2.0], "output_estimate": [[1.0]]},
    ],
)
def test_columns_of_another_length_are_refused(columns):
    with pytest.raises(ShapeError):
        ErrorTable([[1.0], [2.0]], **columns)


def test_fields_of_different_length_are_refused():
    with pytest.raises(ShapeError):
        FieldComparison([1.0], [1.0, 2.0], [1.0])


def test_ratios_are_nan_where_they_mean_nothing():
    table = ErrorTable(
        np.zeros((5, 1)), [1e-3, 0.0, 1e-20, np.nan, 1e-3], [2e-3, 1e-3, 1.0, 1.0, np.inf], [2.0, 1.0, 1.0, 1.0, 0.0]
    )
    np.testing.assert_array_equal(table.relative_error, [5e-4, 0.0, 1e-20, np.nan, np.nan])
    np.testing.assert_array_equal(table.effectivity, [2.0, np.nan, np.nan, np.nan, np.inf])
    bare = ErrorTable([[1.0]], [1.0])
    assert (
        np.isnan(bare.relative_error).all()
        and np.isnan(bare.effectivity).all()
        and np.isnan(bare.relative_estimate).all()
    )
