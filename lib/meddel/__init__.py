"""The compendium of data-effective learning: DataDEL, MedDEL and NormDEL (arXiv 2401.17542), to rerun and to use."""

__version__ = "0.1.0"
