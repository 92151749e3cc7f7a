"""The environment of a program that starts MPI itself, from inside of another MPI job or of a batch job."""

from __future__ import annotations

from collections.abc import Mapping

__all__ = ["without_mpi"]

_JOB = ("PMI_", "PMIX_", "PMI2_", "HYDRA_", "HYDI_", "MPI_LOCAL", "OMPI_COMM_WORLD_", "OMPI_UNIVERSE_", "OMPI_FILE_")
_OPEN_MPI = ("OMPI_", "PRTE_", "ORTE_")  # of a job inside of one, else settings of the user
_ALLOWED = ("OMPI_ALLOW_", "PRTE_ALLOW_")
_SLURM = ("SLURM_", "SLURMD_")


def without_mpi(environ: Mapping[str, str], slurm: bool = True) -> dict[str, str]:
    """A copy of an environment without the variables by which MPI processes find the job that they belong to.

    A program that inherits them takes itself for a rank of the outer job: it hangs or ends at once.

    Parameters
    ----------
    environ : mapping
        For example `os.environ`.
    slurm : bool
        Keep the variables of Slurm, which srun needs; without them mpiexec starts all ranks on this machine.

    Examples
    --------
    >>> without_mpi({"PMI_RANK": "0", "PATH": "/bin", "OMPI_MCA_btl": "self", "SLURM_JOB_ID": "7"})
    {'PATH': '/bin', 'OMPI_MCA_btl': 'self', 'SLURM_JOB_ID': '7'}
    >>> without_mpi({"OMPI_COMM_WORLD_RANK": "0", "OMPI_MCA_ess": "pmi", "SLURM_JOB_ID": "7"}, slurm=False)
    {}
    """
    inside = any(name.startswith("OMPI_COMM_WORLD_") for name in environ)
    taken = _JOB + (_OPEN_MPI if inside else ()) + (() if slurm else _SLURM)
    return {name: value for name, value in environ.items()
            if not name.startswith(taken) or name.startswith(_ALLOWED)}
