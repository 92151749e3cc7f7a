"""Reduced models in formats that others read: one exporter a file, each with `suffix` and `write(rom, path)`."""
