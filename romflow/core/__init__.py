"""Errors, configuration, registry, fingerprints and plain containers: what every other room stands on; no numerics."""
