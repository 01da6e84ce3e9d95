"""Generated images in the place of a user's: made before a run reads its data."""

from __future__ import annotations

import endosim
from meddel.config import Run


def with_data(run: Run) -> Run:
    """Return the run when its data exist: where they are to be generated (`Run.generated`), they are, once."""
    if run.generated:
        endosim.generate(run.data, run.profile.synthetic, seed=0)
    return run
