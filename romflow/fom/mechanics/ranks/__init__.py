"""Histories of one body on several MPI ranks: parts of the mesh, collective Newton iterations, the job."""
