"""The leaderboard's score can tell something: what is learnt from all images beats a dictionary of random patches."""

from __future__ import annotations

import numpy as np

from compendium.workshop.leaderboard.scoring import Scorer
from meddel import evidence


def test_learning_from_all_images_clearly_beats_none_at_the_settings_of_the_room() -> None:
    scorer = Scorer()
    everything, nothing = (np.array(scorer.score(ids, lambda _: None)) for ids in (scorer.pool.ids, None))
    low, _ = evidence.interval(everything - nothing)
    assert low > 0, "net benefit would not be defined, and no list could be told from another"
