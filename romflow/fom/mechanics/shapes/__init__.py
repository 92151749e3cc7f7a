"""Shapes with a mesh made here: box, plate with a hole, blade."""
