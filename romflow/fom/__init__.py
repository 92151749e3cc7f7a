"""Full-order models: the protocol, affine models, matrices from files, external programs, and a gallery."""
