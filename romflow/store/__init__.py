"""Snapshots and reduced models on disk: one sealed HDF5 file each, written aside and renamed; the only home of h5py."""
