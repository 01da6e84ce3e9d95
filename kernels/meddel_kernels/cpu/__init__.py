"""The same operations compiled for the processor by Numba: certified screens in int8, float64 where they can't tell."""
