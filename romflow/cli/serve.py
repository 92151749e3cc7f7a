"""The command `romflow serve`."""

from __future__ import annotations

import contextlib
from pathlib import Path

from romflow.rom.loading import load
from romflow.serving.model import Served, serve_reduced
from romflow.serving.server import LOOPBACK, ModelServer

__all__ = ["serve_models"]


def serve_models(model: Path | None, study: Path | None, out: Path | None, host: str, port: int) -> None:
    """Serve a reduced model, the full-order model of a study, or both, until the process is told to end.

    Parameters
    ----------
    model : Path or None
        model.h5.
    study : Path or None
        The study file whose full-order model is served too.
    out : Path or None
        Its run folder, by default where `romflow run` puts it.
    host, port
        Where to listen.
    """
    with contextlib.ExitStack() as stack:
        models: list[Served] = [] if model is None else [serve_reduced(load(model))]
        if study is not None:
            models.append(stack.enter_context(_full_order(study, out)))
        server = stack.enter_context(ModelServer(models, host, port))
        _announce(server, host)
        with contextlib.suppress(KeyboardInterrupt):
            server.serve_forever()
        print("stopped", flush=True)


def _full_order(study: Path, out: Path | None) -> contextlib.AbstractContextManager[Served]:
    from romflow.study import Study
    from romflow.walk.serving import full_order_served

    loaded = Study.from_file(study)
    return full_order_served(loaded, out or study.resolve().parent / "runs" / loaded.name)


def _announce(server: ModelServer, host: str) -> None:
    for model in server.models:
        derivatives = "with derivatives" if model.jacobian is not None else "without derivatives"
        inputs, outputs = ", ".join(model.parameters.columns[:12]), ", ".join(model.outputs[:12])
        print(f"model {model.name}: {model.parameters.size} inputs ({inputs}), outputs {outputs}, {derivatives}")
    shown = f"[{host}]" if ":" in host else host
    print(f"serving by UM-Bridge 1.0 at http://{shown}:{server.port}; Ctrl-C ends it", flush=True)
    if host not in (LOOPBACK, "localhost", "::1"):
        print("WARNING: everybody who reaches this address can use the models; there is no password", flush=True)
