"""nnMTL: self-configuring multi-task learning of image biomarkers on top of nnU-Net."""

__version__ = "0.1.0"
