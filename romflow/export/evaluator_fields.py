"""The lines of an evaluator that look at coefficients at points: interpolation error and pointwise coercivity."""

from __future__ import annotations

from romflow.parameters.expressions import Theta
from romflow.parameters.field_bounds import InterpolatedField, InterpolationError, PointwiseCoercivity
from romflow.parameters.fields import COORDINATES, FieldSample
from romflow.rom.affine import AffineReducedModel

__all__ = ["FIELDS", "interpolated", "largest_sample", "less_interpolation", "pointwise"]

FIELDS = '''\
def _sampled(mu, group, *components):
    points, chosen = data[group + "/points"], data[group + "/components"].astype(int)
    rows = np.hstack([np.repeat(points, len(mu), axis=0), np.tile(mu, (len(points), 1))])
    values = np.array([np.broadcast_to(component(rows), len(rows)) for component in components])
    return values.reshape(len(components), len(points), len(mu))[chosen, np.arange(len(points))]


def _remainder(mu, group, theta, *components):
    gap = _sampled(mu, group, *components) - data[group + "/cardinal"] @ theta.T
    return np.abs(gap).max(axis=0, initial=0)


'''


def largest_sample(rom: AffineReducedModel) -> int:
    """The most points at which the model looks at a coefficient, 0 where it does not."""
    fields = [] if rom.interpolation is None else [*rom.interpolation.operator, *rom.interpolation.rhs]
    samples = [field.sample for field in fields]
    if isinstance(rom.stability, PointwiseCoercivity):
        found = (rom.stability.diffusion, rom.stability.reaction)
        samples += [sample for sample in found if sample is not None]
    return max((len(sample.points) for sample in samples), default=0)


def interpolated(error: InterpolationError | None) -> str:
    """Lines that add to `residual` what the interpolation leaves of operator and right-hand side."""
    if error is None:
        return ""
    lines = [f"    residual = residual + {_weighted(f'interpolation/rhs/{i}', field)}"
             for i, field in enumerate(error.rhs)]
    lines += [f"    residual = residual + np.linalg.norm(x, axis=1) * {_weighted(f'interpolation/operator/{i}', field)}"
              for i, field in enumerate(error.operator)]
    return "".join(f"\n{line}" for line in lines)


def less_interpolation(error: InterpolationError) -> str:
    """Lines that take the error of the operator from `alpha`."""
    lines = [f"    alpha = alpha - {_weighted(f'interpolation/operator/{i}', field)}"
             for i, field in enumerate(error.operator)]
    return "".join(f"\n{line}" for line in [*lines, "    alpha = np.maximum(alpha, 0)"])


def pointwise(bound: PointwiseCoercivity) -> str:
    """Lines that give `alpha`."""
    lines = [f"    alpha = {_sampled('stability/diffusion', bound.diffusion)}.min(axis=0)"]
    if bound.reaction is not None:
        least = f"{_sampled('stability/reaction', bound.reaction)}.min(axis=0)"
        lines.append(f"    alpha = alpha + {bound.poincare!r} * np.minimum({least}, 0)")
    if bound.radii.size:
        lines.append(f"    alpha = alpha - np.abs({_table(bound.theta)}) @ data[\"stability/radii\"]")
    if bound.velocity is not None:
        lines.append(f"    alpha = alpha - {_weighted('stability/velocity', bound.velocity)}")
    return "\n".join([*lines, "    alpha = np.maximum(alpha, 0)"])


def _weighted(group: str, field: InterpolatedField) -> str:
    theta = _table(field.theta)
    return f"{field.weight!r} * _remainder(\n        mu, \"{group}\", {theta}, {_components(field.sample)})"


def _sampled(group: str, sample: FieldSample) -> str:
    return f"_sampled(\n        mu, \"{group}\", {_components(sample)})"


def _components(sample: FieldSample) -> str:
    field = sample.field
    names = (*COORDINATES[:field.dimension], *field.columns)
    return ", ".join(f"lambda mu: {Theta([text], names).numpy_source(0)}" for text in field.expressions)


def _table(theta: Theta) -> str:
    return f"_table(\n        mu, {', '.join(theta.numpy_source(q) for q in range(len(theta)))})"
