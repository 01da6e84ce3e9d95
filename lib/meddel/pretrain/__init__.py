"""Self-supervised pre-training (section 4.1): MAE and SimCLR on a plain ViT at equal compute."""

from meddel.pretrain.loop import HISTORY_SCHEMA, pretrain
from meddel.pretrain.order import Schedule, schedule
from meddel.pretrain.reconstruction import reconstruction_errors

__all__ = ["HISTORY_SCHEMA", "Schedule", "pretrain", "reconstruction_errors", "schedule"]
