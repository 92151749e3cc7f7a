"""Phase and amplitude: the parts sum up to the error, a late wave has no amplitude error, a weak one no phase error."""

from collections.abc import Callable

import numpy as np
import pytest

from romflow.core.errors import InputError, ShapeError
from romflow.linalg.diagnosis import PhaseAmplitude, phase_amplitude

Array = np.ndarray
X = np.arange(200) / 200.0


def wave(late: float = 0.0, strength: float = 1.0, height: float = 0.0) -> Array:
    return height + strength * np.sin(2.0 * np.pi * (X - late))


def _sums_up(parts: PhaseAmplitude, u: Array, v: Array, w: Array) -> None:
    np.testing.assert_allclose(parts.mean_square, w @ (u - v) ** 2 / w.sum(), rtol=1e-12)


def test_parts_sum_up_exactly(must_fail: Callable[..., None]) -> None:
    random = np.random.default_rng(0)
    u, v, w = random.standard_normal((50, 7)), random.standard_normal((50, 7)), random.uniform(0.1, 3.0, 50)
    parts = phase_amplitude(u, v, w)
    _sums_up(parts, u, v, w)
    must_fail(lambda parts: _sums_up(parts, u, v, w), phase_amplitude(u, v),
              PhaseAmplitude(parts.dissipation, np.zeros(7), parts.correlation))
    for j in range(7):
        one = phase_amplitude(u[:, j], v[:, j], w)
        np.testing.assert_allclose([one.dissipation[0], one.dispersion[0]],
                                   [parts.dissipation[j], parts.dispersion[j]], rtol=1e-13)


def test_parts_are_those_of_the_definition() -> None:
    random = np.random.default_rng(1)
    u, v = random.standard_normal((2, 40))
    parts = phase_amplitude(u, v)
    rho = np.corrcoef(u, v)[0, 1]
    assert parts.correlation[0] == pytest.approx(rho, rel=1e-12)
    assert parts.dispersion[0] == pytest.approx(2.0 * (1.0 - rho) * u.std() * v.std(), rel=1e-12)
    assert parts.dissipation[0] == pytest.approx((u.std() - v.std()) ** 2 + (u.mean() - v.mean()) ** 2, rel=1e-12)


def test_a_late_wave_and_a_weak_one(must_fail: Callable[..., None]) -> None:
    def is_phase(v: Array) -> None:
        assert phase_amplitude(wave(), v).phase_share[0] > 1.0 - 1e-12

    def is_amplitude(v: Array) -> None:
        assert phase_amplitude(wave(), v).phase_share[0] < 1e-12

    is_phase(wave(late=0.1))
    must_fail(is_phase, wave(strength=0.9), wave(height=0.1), wave(late=0.1, strength=0.9))
    for amplitude in (wave(strength=0.9), wave(height=0.1), wave(strength=1.5, height=-1.0)):
        is_amplitude(amplitude)
    must_fail(is_amplitude, wave(late=0.01))


def test_small_phase_errors_keep_their_digits() -> None:
    late = 1e-9
    parts = phase_amplitude(wave(), wave(late))
    assert parts.dispersion[0] == pytest.approx(0.5 * (2.0 * np.pi * late) ** 2, rel=1e-5)


def test_upwind_transport_is_dissipative_and_lax_wendroff_dispersive() -> None:
    """Takacs' experiment: a wave carried five times around a ring by a scheme of each kind."""
    u = lax = start = np.sin(6.0 * np.pi * X)
    c = 0.5
    for _ in range(2000):
        u = u - c * (u - np.roll(u, 1))
        lax = lax - c / 2 * (np.roll(lax, -1) - np.roll(lax, 1)) + c**2 / 2 * (
            np.roll(lax, -1) - 2.0 * lax + np.roll(lax, 1))
    shares = phase_amplitude(np.stack([start, start], axis=1), np.stack([u, lax], axis=1)).phase_share
    assert shares[0] < 0.01 < 0.99 < shares[1]


def test_constant_fields_have_no_phase() -> None:
    parts = phase_amplitude(np.ones(5), np.array([1.0, 2.0, 1.0, 2.0, 1.0]))
    assert parts.dispersion[0] == 0.0
    assert parts.mean_square[0] == pytest.approx(0.4)
    same = phase_amplitude(wave(), wave())
    assert same.mean_square[0] == 0.0 and same.phase_share[0] == 0.0


def test_bad_input() -> None:
    with pytest.raises(ShapeError, match="of one shape"):
        phase_amplitude(np.ones(3), np.ones(4))
    with pytest.raises(ShapeError, match="one for each of 3 entries"):
        phase_amplitude(np.ones(3), np.ones(3), np.ones(2))
    with pytest.raises(InputError, match="must be positive; the least is -1"):
        phase_amplitude(np.ones(2), np.ones(2), np.array([1.0, -1.0]))
    with pytest.raises(InputError, match="not finite"):
        phase_amplitude(np.ones(2), np.array([1.0, np.nan]))
