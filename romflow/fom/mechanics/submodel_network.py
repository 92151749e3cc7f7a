"""A generative network for the coefficients of a submodel: trained with PyTorch, kept as arrays, evaluated in NumPy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from romflow.core.errors import ConfigError, InputError
from romflow.core.fingerprint import fingerprint
from romflow.core.names import nearest, shown
from romflow.parameters.coefficients import NetworkCoefficients
from romflow.store.artefact import read_artefact, write_artefact

__all__ = ["NetworkOptions", "network_coefficients", "trained"]

KIND = "submodel-network"
# Weight of the penalty on the critic's slope, and critic's steps a step of the generator (Gulrajani et al. 2017,
# algorithm 1). Their 10 is for pictures: with 200 samples of two coefficients, one nearly the square of the other, it
# leaves 4 % of their third moment after 1000 steps, and 0.1 gives it to 7 %.
_PENALTY, _CRITIC_STEPS = 0.1, 5


@dataclass(frozen=True)
class NetworkOptions:
    """How a generative network is trained.

    Attributes
    ----------
    weights : str
        File that keeps it, relative to the study; one that was trained on the same runs with the same options is used
        as it is, without PyTorch.
    steps : int
        Of the generator.
    width : int
        Of the two hidden layers of the generator and of the critic.
    batch : int
    rate : float
        Of Adam; it falls to 0 along a cosine.
    seed : int
    """

    weights: str = "submodel_network.h5"
    steps: int = 1500
    width: int = 64
    batch: int = 64
    rate: float = 1e-3
    seed: int = 0

    def __post_init__(self) -> None:
        if not isinstance(self.weights, str) or not self.weights:
            raise ConfigError(f"network weights = {shown(self.weights)}; the rule is a file name")
        for name, least in (("steps", 1), ("width", 1), ("batch", 2), ("seed", 0)):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < least:
                raise ConfigError(f"network {name} = {shown(value)}; the rule is a whole number from {least}")
        rate = self.rate
        if isinstance(rate, bool) or not isinstance(rate, int | float) or not 0.0 < rate < 1.0:
            raise ConfigError(f"network rate = {shown(rate)}; the rule is a number between 0 and 1")

    @classmethod
    def from_table(cls, given: Mapping[str, Any] | None) -> NetworkOptions:
        """From the table network of a study; ConfigError for keys that are none."""
        known = list(cls.__dataclass_fields__)
        if given is not None and not isinstance(given, Mapping):
            raise ConfigError(f"network = {shown(given)} is no table; write [model.network] with {', '.join(known)}")
        for key in given or {}:
            if key not in known:
                raise ConfigError(f"network has no key {shown(key)}{nearest(str(key), known)}")
        return cls(**(given or {}))


def network_coefficients(samples: np.ndarray, size: int, options: NetworkOptions,
                         base: str | Path = ".") -> NetworkCoefficients:
    """The network of the file that the options name, trained and written where it is not there.

    Parameters
    ----------
    samples : (N, m)
    size : int
        Standard normal numbers that it is fed with.
    options : NetworkOptions
    base : path

    Raises
    ------
    InputError
        It has to be trained and PyTorch is not installed.
    StoreError
        The file is damaged or something else.
    """
    file = Path(base, options.weights)
    recipe = {"steps": options.steps, "width": options.width, "batch": options.batch, "rate": options.rate,
              "seed": options.seed, "size": size}
    about = {"samples": fingerprint(samples.tolist()), **recipe}
    if file.exists():
        kind, arrays, kept = read_artefact(file)
        if kind == KIND and kept == about:
            layers = len(arrays) // 2
            return NetworkCoefficients([(arrays[f"weights_{i}"], arrays[f"offsets_{i}"]) for i in range(layers)])
        if kind != KIND:
            raise InputError(f"{file} holds a '{kind}' and no network; name another file in [model.network] weights")
    found = trained(samples, size, options)
    named = {f"{word}_{i}": value for i, layer in enumerate(found.layers)
             for word, value in zip(("weights", "offsets"), layer, strict=True)}
    write_artefact(file, KIND, named, about)
    return found


def trained(samples: np.ndarray, size: int, options: NetworkOptions) -> NetworkCoefficients:
    """A Wasserstein generative network with gradient penalty (Gulrajani et al. 2017, algorithm 1).

    The critic D maximises E D(c) - E D(G(z)) - 0.1 E (|grad D| - 1)^2 between samples and what the generator G makes of
    normal numbers, the generator then maximises E D(G(z)). In the end offsets and scales of its last layer are set so
    that means and variances are those of the samples. One thread and one seed: the same numbers each time.

    Raises
    ------
    InputError
        PyTorch is not installed; samples are too few or not finite.
    """
    x = np.asarray(samples, dtype=np.float64)
    if x.ndim != 2 or len(x) < 2 or not np.isfinite(x).all():
        raise InputError(f"the samples of a network have shape {x.shape} or are not all finite; the rule is (N, m) "
                         "with N > 1")
    torch = _torch()
    threads, state = torch.get_num_threads(), torch.get_rng_state()
    torch.set_num_threads(1)
    try:
        layers = _Training(torch, x, size, options).run()
    finally:
        torch.set_num_threads(threads)
        torch.set_rng_state(state)
    return _matched(NetworkCoefficients(layers), x, options.seed)


def _matched(network: NetworkCoefficients, samples: np.ndarray, seed: int) -> NetworkCoefficients:
    """The network with the samples' means and standard deviations."""
    drawn = network(np.random.default_rng(seed).standard_normal((1 << 14, network.size)))
    scale = samples.std(axis=0, ddof=1) / np.maximum(drawn.std(axis=0), 1e-12)
    W, b = network.layers[-1]
    last = (W * scale[:, None], (b - drawn.mean(axis=0)) * scale + samples.mean(axis=0))
    return NetworkCoefficients([*network.layers[:-1], last])


def _torch() -> Any:
    try:
        import torch
    except ImportError as error:
        raise InputError("generator = \"network\" is trained with PyTorch, which is not installed: pip install "
                         "romflow[network], take the file of weights of one that was trained elsewhere, or take "
                         "generator = \"copula\"") from error
    return torch


class _Training:
    """Generator, critic and their steps."""

    def __init__(self, torch: Any, samples: np.ndarray, size: int, options: NetworkOptions) -> None:
        self._torch, self._size, self._options = torch, size, options
        torch.manual_seed(options.seed)
        self._samples = torch.tensor(samples, dtype=torch.float64)
        self._generator = self._net(size, samples.shape[1])
        self._critic = self._net(samples.shape[1], 1)

    def run(self) -> list[tuple[np.ndarray, np.ndarray]]:
        """The layers of the generator after all steps."""
        torch, options = self._torch, self._options
        made, judged = (torch.optim.Adam(net.parameters(), lr=options.rate, betas=(0.0, 0.9))
                        for net in (self._generator, self._critic))
        falling = [torch.optim.lr_scheduler.CosineAnnealingLR(one, options.steps) for one in (made, judged)]
        for _ in range(options.steps):
            for _ in range(_CRITIC_STEPS):
                self._stepped(judged, self._critic_loss())
            self._stepped(made, -self._critic(self._generator(self._noise())).mean())
            for one in falling:
                one.step()
        linear = [layer for layer in self._generator if hasattr(layer, "weight")]
        return [(layer.weight.detach().numpy().copy(), layer.bias.detach().numpy().copy()) for layer in linear]

    def _net(self, inputs: int, outputs: int) -> Any:
        nn, width = self._torch.nn, self._options.width
        bend = nn.LeakyReLU(NetworkCoefficients.slope)
        return nn.Sequential(nn.Linear(inputs, width), bend, nn.Linear(width, width), bend,
                             nn.Linear(width, outputs)).double()

    def _noise(self) -> Any:
        return self._torch.randn(self._options.batch, self._size, dtype=self._torch.float64)

    def _critic_loss(self) -> Any:
        torch, batch = self._torch, self._options.batch
        true = self._samples[torch.randint(len(self._samples), (batch,))]
        false = self._generator(self._noise()).detach()
        share = torch.rand(batch, 1, dtype=torch.float64)
        between = (share * true + (1.0 - share) * false).requires_grad_(True)
        slope, = torch.autograd.grad(self._critic(between).sum(), between, create_graph=True)
        penalty = _PENALTY * ((slope.norm(dim=1) - 1.0) ** 2).mean()
        return self._critic(false).mean() - self._critic(true).mean() + penalty

    def _stepped(self, optimiser: Any, loss: Any) -> None:
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
