"""Maps the two top-level folders into the package; all else is in pyproject.toml."""

from setuptools import find_packages, setup

MAPPED = {"nnmtl.plans": "plans", "nnmtl.dataset_conversion": "dataset_conversion"}
setup(packages=[*find_packages(include=["nnmtl", "nnmtl.*"]), *MAPPED], package_dir=MAPPED)
