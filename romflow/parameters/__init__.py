"""Parameter spaces, their distributions, theta expressions and the samplers that choose parameters."""
