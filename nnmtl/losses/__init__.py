"""Masked biomarker losses and their weighted sum: tensors in, scalars out."""
