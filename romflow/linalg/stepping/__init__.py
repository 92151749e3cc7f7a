"""Time stepping of M du/dt = G(t, u) for full-order and reduced states alike; `march.march` is the way in."""
