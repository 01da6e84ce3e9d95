"""The study on one GPU: ``pack`` makes its data, ``study`` runs it with ``networks``, ``score`` counts."""
