"""Self-supervised pre-training (section 4.1): MAE and SimCLR on a plain ViT at equal compute."""

from meddel.pretrain.loop import HISTORY_SCHEMA, Schedule, pretrain, schedule

__all__ = ["HISTORY_SCHEMA", "Schedule", "pretrain", "schedule"]
