"""The commands of ``meddel``, a file for each that is more than a few lines; `compendium.cli` puts them together."""
