"""From snapshots to reduced models: one reductor per file."""
