"""Modules that turn encoder features and regions into biomarker predictions."""
