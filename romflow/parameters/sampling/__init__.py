"""Samplers: one file each, all with ``ask() -> (k, p)``, ``tell(rom)``, ``state()`` and ``restore(state)``."""
