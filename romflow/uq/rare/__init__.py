"""Rare events: adaptive importance sampling."""
