"""The synthetic DCE-MRI cohort, whose Bayes-optimal predictions are known exactly."""
