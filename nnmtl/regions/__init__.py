"""Tumor geometry in mm: signed distance, soft shells around the boundary, and their jitter."""
