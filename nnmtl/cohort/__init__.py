"""Facts about cases: biomarkers, targets, geometry, folds; no decisions and no torch."""
