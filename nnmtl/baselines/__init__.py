"""Models that a network has to beat: measured features and classical classifiers, without torch."""
