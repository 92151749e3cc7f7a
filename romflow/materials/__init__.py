"""Material laws: stress, state and consistent tangent at many points at once, behind one protocol."""
