"""Figures and pages from results; computes nothing."""
