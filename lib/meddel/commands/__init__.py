"""The commands of ``meddel``, a file for each that is more than a few lines; `meddel.cli` puts them together."""
