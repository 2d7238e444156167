"""Metrics, intervals and their files; no torch and no nnU-Net."""
