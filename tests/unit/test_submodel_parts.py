"""What submodels are made of: random coefficients, generated columns, space-time modes, interpolation, networks."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from romflow.core.errors import ConfigError, InputError, ParameterError, ShapeError
from romflow.fom.mechanics.interpolation import interpolation
from romflow.fom.mechanics.shapes.box import box
from romflow.fom.mechanics.shapes.plate_with_hole import plate_with_hole
from romflow.fom.mechanics.submodel_generator import make_coefficients
from romflow.fom.mechanics.submodel_modes import Histories, space_time_modes
from romflow.fom.mechanics.submodel_network import NetworkOptions, network_coefficients
from romflow.fom.mechanics.submodel_zone import zone_of_cells
from romflow.parameters.coefficients import (
    CopulaCoefficients,
    NetworkCoefficients,
    NormalCoefficients,
    coefficients_from_spec,
)
from romflow.parameters.generated import GeneratedColumns
from romflow.parameters.loading import Amplitude, Loading
from romflow.store.artefact import write_artefact

RNG = np.random.default_rng(5)
LAYERS = [(RNG.standard_normal((4, 2)), RNG.standard_normal(4)), (RNG.standard_normal((3, 4)), np.zeros(3))]


def test_a_copula_keeps_moments_and_rank_correlation() -> None:
    x = np.exp(RNG.multivariate_normal([0.0, 0.0], [[1.0, 0.8], [0.8, 1.0]], size=400))
    drawn = CopulaCoefficients(x)(RNG.standard_normal((4000, 2)))
    assert np.allclose(drawn.mean(axis=0), x.mean(axis=0), rtol=0.1)
    assert np.allclose(drawn.std(axis=0), x.std(axis=0), rtol=0.15)
    assert (drawn.max(axis=0) < 1.2 * x.max(axis=0)).all()
    ranks = [np.corrcoef(values.argsort(axis=0).argsort(axis=0), rowvar=False)[0, 1] for values in (x, drawn)]
    assert abs(ranks[0] - ranks[1]) < 0.05 < ranks[0]
    normal = NormalCoefficients(2)(RNG.standard_normal((4000, 2)))
    assert abs(np.corrcoef(normal, rowvar=False)[0, 1]) < 0.05


@pytest.mark.parametrize("made", [NormalCoefficients(2), CopulaCoefficients(RNG.standard_normal((9, 2))),
                                  NetworkCoefficients(LAYERS)], ids=lambda made: made.kind)
def test_coefficients_come_back_from_json_and_refuse_far_points(made) -> None:
    z = RNG.standard_normal((5, 2))
    assert np.array_equal(coefficients_from_spec(made.spec())(z), made(z))
    with pytest.raises(ShapeError, match=r"\(b, 2\)"):
        made(z[:, :1])
    for bad in (np.nan, np.inf, -8.5):
        with pytest.raises(ParameterError, match="one draw in 10"):
            made([[0.0, bad]])


def test_a_copula_of_another_rule_is_of_another_model() -> None:
    told = CopulaCoefficients(RNG.standard_normal((9, 2))).spec()
    for rule in (None, "extremes of the samples"):
        with pytest.raises(InputError, match="run the study of the submodel again"):
            coefficients_from_spec(told | {"rule": rule})


def test_wrong_coefficients_are_refused() -> None:
    for samples, rule in (([[1.0], [1.0]], "are equal"), ([[1.0]], "N > p"), ([[0.0], [np.nan]], "finite")):
        with pytest.raises(InputError, match=rule):
            CopulaCoefficients(samples)
    with pytest.raises(InputError, match="layer 1"):
        NetworkCoefficients([LAYERS[0], LAYERS[0]])
    for size in (0, True):
        with pytest.raises(InputError, match="whole number from 1"):
            NormalCoefficients(size)
    for call, rule in ((lambda: NetworkCoefficients([]), "no layers"),
                       (lambda: coefficients_from_spec({"kind": "x"}), "no coefficients are called")):
        with pytest.raises(InputError, match=rule):
            call()


def generated() -> GeneratedColumns:
    return GeneratedColumns(("u", "v"), [0.0, 1.0, 3.0], [[0, 1], [1, 1], [2, 1]],
                            [[[0.0], [1]], [[1], [1]], [[2], [1]]], NormalCoefficients(1))


def test_a_loading_has_generated_columns_between_amplitudes_and_time() -> None:
    loading = Loading(("z",), (Amplitude("a", [0.0, 4.0], [0.0, 4.0]),), generated())
    assert loading.columns == ("z", "a", "u", "v", "t")
    rows = loading.rows([[0.0], [0.5]], 2.0)
    assert np.allclose(rows, [[0.0, 2.0, 1.5, 1.0, 2.0], [0.5, 2.0, 2.25, 1.5, 2.0]])
    assert np.array_equal(Loading.from_spec(loading.to_spec()).rows([[0.5]], 0.3), loading.rows([[0.5]], 0.3))
    assert "generated" not in Loading(("z",)).to_spec()
    for t in (3.1, np.nan):
        with pytest.raises(ParameterError, match="end at t = 3"):
            loading.rows([[0.0]], t)
    with pytest.raises(ConfigError, match="two things"):
        Loading(("u",), (), generated())


@pytest.mark.parametrize(("change", "error"), [
    ({"times": [0.0, 0.0, 1.0]}, InputError), ({"mean": np.zeros((3, 3))}, ShapeError),
    ({"names": ("u", "t")}, InputError), ({"mean": np.full((3, 2), np.nan)}, InputError),
    ({"modes": np.zeros((3, 2, 2))}, ShapeError)])
def test_wrong_generated_columns_are_refused(change: dict, error: type) -> None:
    one = generated()
    with pytest.raises(error):
        GeneratedColumns(**{"names": one.names, "times": one.times, "mean": one.mean, "modes": one.modes,
                            "coefficients": one.coefficients, **change})


def test_modes_rebuild_histories_and_count_what_they_miss() -> None:
    times = np.linspace(0.0, 1.0, 4)
    z, space = RNG.standard_normal((30, 3)), RNG.standard_normal((3, 12))
    ramps = times[None, :, None] * (z * [3.0, 1.0, 0.1] @ space)[:, None, :]
    histories = Histories(times, {"trace": ramps}, {"p": 5.0 + 2.0 * z[:, 0]})
    found = space_time_modes(histories, 3)
    assert np.allclose(np.cov(found.samples, rowvar=False), np.eye(3)) and found.missed < 1e-12
    columns = found.mean + np.einsum("tdm,nm->ntd", found.modes, found.samples)
    assert np.allclose(columns[..., :-1] @ found.shapes["trace"].T, ramps, atol=1e-4)
    assert np.allclose(columns[:, 2, -1], histories.numbers["p"])
    assert not found.mean[0, :-1].any() and not found.modes[0, :-1].any()
    fewer = space_time_modes(histories, 1)
    assert 0.001 < fewer.missed < 0.5 and fewer.shares[0] > fewer.shares[1]


def test_wrong_histories_are_refused() -> None:
    times, some = np.array([0.0, 1.0]), np.ones((3, 2, 4))
    for fields, rule in (({"trace": some}, "do the same"), ({"trace": some * np.nan}, "not finite in run 0")):
        with pytest.raises(InputError, match=rule):
            space_time_modes(Histories(times, fields), 1)
    varied = some * np.arange(3.0)[:, None, None]
    with pytest.raises(InputError, match="take 1 at most"):
        space_time_modes(Histories(times, {"trace": varied}), 2)
    with pytest.raises(ShapeError, match="trace"):
        Histories(np.arange(3.0), {"trace": some})
    with pytest.raises(ShapeError, match="values of p"):
        Histories(times, {"trace": some}, {"p": np.ones(2)})


@pytest.mark.parametrize("element", ["quad4", "tri6", "tet4", "tet10", "hex8-bbar"])
def test_interpolation_has_the_order_of_the_element(element: str) -> None:
    cells = (3, 2, 2) if element.startswith(("tet", "hex")) else (3, 2)
    space = box(cells, element=element).space(element)
    points = RNG.uniform(0.01, 0.99, (40, space.d))
    order = 2 if element in ("tri6", "tet10") else 1

    def field(x: np.ndarray) -> np.ndarray:
        return (1.0 + x.sum(axis=1)) ** order
    found = interpolation(space, points)
    assert np.allclose(found @ field(space.nodes), field(points))
    assert not np.allclose(found @ field(space.nodes) ** 3, field(points) ** 3, atol=1e-4)
    with pytest.raises(InputError, match="outside the mesh"):
        interpolation(space, np.full((1, space.d), 1.5))
    with pytest.raises(InputError, match="finite coordinates"):
        interpolation(space, np.full((1, space.d), np.nan))


def test_a_zone_keeps_the_names_that_it_holds() -> None:
    solid = plate_with_hole((4, 4))
    zone = zone_of_cells(solid, solid.space(), "x**2 + y**2 < 3")
    assert set(zone.solid.boundaries) == {"hole", "left", "bottom"}
    assert len(zone.solid.boundaries["hole"]) == 4
    assert np.allclose(zone.values @ solid.nodes, zone.space.nodes)
    with pytest.raises(ConfigError, match="whole body"):
        zone_of_cells(solid, solid.space(), "x > -1")


def test_a_network_is_read_without_pytorch_and_trained_with_it_only(tmp_path: Path, monkeypatch) -> None:
    samples = RNG.standard_normal((6, 3))
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(InputError, match="PyTorch, which is not installed"):
        make_coefficients("network", samples, 2, {"weights": "net.h5"}, tmp_path)
    write_artefact(tmp_path / "net.h5", "affine", {}, {})
    with pytest.raises(InputError, match="no network"):
        network_coefficients(samples, 2, NetworkOptions("net.h5"), tmp_path)


@pytest.mark.parametrize("table", [{"steps": 0}, {"rate": 2.0}, {"weights": ""}, {"seed": -1}, {"stepz": 3}, 5])
def test_wrong_options_of_a_network_are_refused(table) -> None:
    with pytest.raises(ConfigError, match="network"):
        NetworkOptions.from_table(table)


def test_a_trained_network_has_the_means_and_variances_of_its_samples(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    samples = RNG.standard_normal((50, 2)) * [2.0, 0.5] + 1.0
    options = NetworkOptions("net.h5", steps=20, width=8)
    made = network_coefficients(samples, 2, options, tmp_path)
    drawn = made(RNG.standard_normal((20000, 2)))
    assert np.allclose(drawn.mean(axis=0), samples.mean(axis=0), atol=0.1)
    assert np.allclose(drawn.std(axis=0), samples.std(axis=0), rtol=0.1)
    kept = network_coefficients(samples, 2, options, tmp_path)
    assert np.array_equal(kept.layers[0][0], made.layers[0][0])
