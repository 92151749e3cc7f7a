"""Random coefficients of a submodel's modes, with the statistics of those of its runs."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from romflow.core.errors import ConfigError
from romflow.core.names import shown
from romflow.parameters.coefficients import Coefficients, CopulaCoefficients, NormalCoefficients

__all__ = ["GENERATORS", "make_coefficients"]

GENERATORS = ("normal", "copula", "network")


def make_coefficients(generator: str, samples: np.ndarray, size: int, network: Mapping[str, Any] | None = None,
                      base: str | Path = ".") -> Coefficients:
    """Coefficients as functions of `size` standard normal numbers.

    Parameters
    ----------
    generator : one of GENERATORS
    samples : (N, m)
        Of mean 0 and variance 1, uncorrelated.
    size : int
        p; m for the first two generators.
    network : mapping, optional
        Options of the network; see `romflow.fom.mechanics.submodel_network.NetworkOptions`.
    base : path
        Folder that its file is relative to.

    Raises
    ------
    ConfigError, InputError
        Options are wrong, samples are too few, or a network has to be trained and PyTorch is not there.

    Examples
    --------
    >>> make_coefficients("copula", np.array([[-1.0], [0.0], [1.0]]), 1)(np.array([[0.0]]))
    array([[0.]])
    """
    if generator == "network":
        from romflow.fom.mechanics.submodel_network import NetworkOptions, network_coefficients

        return network_coefficients(samples, size, NetworkOptions.from_table(network), base)
    if network is not None:
        raise ConfigError(f"network = {shown(network)} belongs to generator = \"network\", and the generator is "
                          f"{generator!r}; leave it out")
    return NormalCoefficients(size) if generator == "normal" else CopulaCoefficients(samples)
