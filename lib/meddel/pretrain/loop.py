"""The loop of pre-training: the same number of images at every ratio, resumable, and the same bytes for a seed.

What a step draws depends on the seed and the step's number only, so that a checkpoint is the step, the model, the
optimiser and their cost so far; on a CPU a run that was killed ends in the same bytes as one that was not. Its cost is
all that it took, but for the steps after the last checkpoint, which are done again.
"""

from __future__ import annotations

import io
import time
import zipfile
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from torch import Generator, nn

from meddel import artefacts
from meddel import encoder as encoders
from meddel.config import EncoderConfig, PretrainConfig
from meddel.errors import MedDELError
from meddel.pretrain.mae import MAE
from meddel.pretrain.optimise import bfloat16_products, forked, learning_rate, mixed_precision, parameter_groups
from meddel.pretrain.order import Schedule, batch_bounds, image_order, random_state, schedule
from meddel.pretrain.simclr import SimCLR
from meddel.progress import progress
from meddel.resources import Cost, Meter

HISTORY_SCHEMA = pa.schema([("step", pa.int32()), ("images", pa.int64()), ("loss", pa.float32()), ("lr", pa.float64())])
BETAS = (0.9, 0.95)
_METHODS: dict[str, type[MAE] | type[SimCLR]] = {"mae": MAE, "simclr": SimCLR}
_CHECK_EVERY = 50


def pretrain(
    images: np.ndarray,
    rows: np.ndarray,
    encoder: EncoderConfig,
    config: PretrainConfig,
    seed: int,
    out: Path,
    *,
    device: str = "cpu",
    data_hash: str | None = None,
    pool: int | None = None,
    on_step: Callable[[int], None] | None = None,
) -> Path:
    """Pre-train an encoder on a subset of the images (section 4.1) and return the path of its weights.

    Parameters
    ----------
    images, rows : ndarray
        uint8 [n, s, s, 3], RGB, of the encoder's size, may be a memory map; int [m], the rows that are kept, each once.
    encoder, config : EncoderConfig, PretrainConfig
        The ViT to train; method, compute, batch, rates (see `schedule`).
    seed : int
        Of the initial weights, the order of images, the views and the masks.
    out : Path
        Folder of ``encoder.safetensors``, ``history.parquet`` (step, images, loss, lr) and, until the end,
        ``checkpoint.pt``. A finished run of the same inputs is not done again, one that was killed goes on.
    device : str
        ``"cpu"`` or ``"cuda"``; on a GPU with bfloat16 the forward pass runs in it, on a CPU with it the products do.
    data_hash, pool : str or None, int or None
        Identity of `images` (None: computed from the pixels); images in the whole pool (None: n).
    on_step : callable or None
        Called with the number of finished steps after each.

    Raises
    ------
    MedDELError
        Rows or images that don't fit, a loss that is not finite, a full disk.
    """
    rows = _checked(images, np.asarray(rows), encoder)
    plan = schedule(config, len(rows), len(images) if pool is None else pool)
    weights = out / "encoder.safetensors"
    data_hash = artefacts.hash_of(images[rows]) if data_hash is None else data_hash
    # where checkpoints fall does not change the result
    settings = config.model_dump(mode="json", exclude={"checkpoint_seconds"})
    key = artefacts.hash_of("pretrain", encoder, settings, seed, data_hash, rows, asdict(plan))
    if not artefacts.is_finished(weights, key):
        parameters = {"encoder": encoder.model_dump(), "pretrain": config.model_dump(), "images": len(rows)}
        with artefacts.recorded(
            weights, key, parameters=parameters, seed=seed, data_hash=data_hash, device=device
        ) as meter:
            with forked(torch.device(device)):
                torch.manual_seed(seed)
                model = _METHODS[config.method](encoders.build(encoder, seed), config)
            training = Training(model, images, rows, plan, config, seed, device)
            artefacts.write_table(out / "history.parquet", training.run(out / "checkpoint.pt", key, meter, on_step))
            encoders.save(model.encoder, encoder, weights)
    clear(out)
    return weights


def clear(out: Path) -> None:
    """Remove the checkpoint of a finished run, and the half-written files of runs that were killed."""
    with suppress(OSError):
        for path in (out / "checkpoint.pt", *out.glob(".*.part")):
            path.unlink(missing_ok=True)


class Training:
    """One training in progress: of what `model` returns as the loss of a batch of images."""

    def __init__(
        self,
        model: nn.Module,
        images: np.ndarray,
        rows: np.ndarray,
        plan: Schedule,
        config: PretrainConfig,
        seed: int,
        device: str,
    ) -> None:
        self.images, self.rows, self.config, self.plan, self.seed = images, rows, config, plan, seed
        self.device = torch.device(device)
        self.model = model.to(self.device).train()
        groups = parameter_groups(self.model, config.weight_decay)
        self.optimiser = torch.optim.AdamW(groups, lr=plan.lr, betas=BETAS, fused=True)
        self.order = image_order(len(rows), plan.images, plan.batch, seed)
        self.bounds = batch_bounds(plan.images, plan.batch).tolist()
        self.losses = torch.full((plan.steps,), torch.nan, device=self.device)

    def run(self, checkpoint: Path, key: str, meter: Meter, on_step: Callable[[int], None] | None = None) -> pa.Table:
        """Do the steps that are left after `checkpoint`, if it is of this `key`, and return the history."""
        plan, first = self.plan, self._load(checkpoint, key, meter)
        saved = time.monotonic()
        with progress(what=f"pre-train ({self.config.method})", total=plan.images, unit="image") as bar:
            bar.update(self.bounds[first])
            for step in range(first, plan.steps):
                self._step(step)
                bar.update(self.bounds[step + 1] - self.bounds[step])
                due = time.monotonic() - saved > self.config.checkpoint_seconds
                if due or step + 1 == plan.steps or (step + 1) % _CHECK_EVERY == 0:
                    self._check(step + 1)
                if due and step + 1 < plan.steps:
                    self._save(checkpoint, key, step + 1, meter)
                    saved = time.monotonic()
                if on_step is not None:
                    on_step(step + 1)
        meter.scratch(_bytes_of(self._state(plan.steps)))
        rates = [self._rate(step) for step in range(plan.steps)]
        columns = [range(1, plan.steps + 1), self.bounds[1:], self.losses.cpu().numpy(), rates]
        return pa.table([pa.array(column) for column in columns], names=HISTORY_SCHEMA.names).cast(HISTORY_SCHEMA)

    def _rate(self, step: int) -> float:
        return learning_rate(step, self.plan.steps, self.plan.lr, self.config.warmup)

    def _step(self, step: int) -> None:
        chosen = self.rows[self.order[self.bounds[step] : self.bounds[step + 1]]]
        batch = torch.from_numpy(self.images[chosen]).to(self.device)
        generator = Generator().manual_seed(random_state(self.seed, "step", step))
        for group in self.optimiser.param_groups:
            group["lr"] = self._rate(step)
        with bfloat16_products(self.device):
            with mixed_precision(self.device):
                loss = self.model(batch, generator)
            self.optimiser.zero_grad(set_to_none=True)
            loss.backward()
        self.optimiser.step()
        self.losses[step] = loss.detach()

    def _check(self, done: int) -> None:
        # on a GPU every look at the loss waits for it: done now and then, and always before a checkpoint
        bad = (~torch.isfinite(self.losses[:done])).nonzero()
        if len(bad):
            raise MedDELError(
                f"the loss of {self.config.method} is not finite at step {int(bad[0]) + 1} of {self.plan.steps}",
                fix="lower pretrain.lr or lengthen pretrain.warmup",
            )

    def _state(self, done: int) -> dict[str, Any]:
        model, optimiser = self.model.state_dict(), self.optimiser.state_dict()
        return {"done": done, "losses": self.losses[:done].cpu(), "model": model, "optimiser": optimiser}

    def _save(self, path: Path, key: str, done: int, meter: Meter) -> None:
        buffer = io.BytesIO()
        state = self._state(done)  # on a GPU this waits for the steps, so that the cost is theirs
        torch.save({"key": key, "cost": meter.cost().model_dump(), **state}, buffer)
        artefacts.write_bytes(path, buffer.getvalue())

    def _load(self, path: Path, key: str, meter: Meter) -> int:
        """Load the checkpoint of this very run, if there is one, and return the number of finished steps."""
        if not path.is_file():
            return 0
        try:
            with zipfile.ZipFile(path) as archive:  # torch doesn't look at the checksums that it writes
                if archive.testzip() is not None:
                    raise ValueError("a checksum differs")
            state = torch.load(path, self.device, weights_only=True)
            if state["key"] != key:
                return 0
            self.model.load_state_dict(state["model"])
            self.optimiser.load_state_dict(state["optimiser"])
            self.losses[: state["done"]] = state["losses"]
            meter.go_on_from(Cost(**state["cost"]))
            return state["done"]
        except Exception as error:  # torch raises whatever the broken bytes lead to
            raise MedDELError("the checkpoint can't be read", path, "delete it to start over") from error


def _bytes_of(state: Any) -> int:
    """Return the bytes of all tensors in nested dictionaries and lists: a checkpoint's size but for its labels."""
    if isinstance(state, torch.Tensor):
        return state.nbytes
    parts = state.values() if isinstance(state, dict) else state if isinstance(state, list) else ()
    return sum(_bytes_of(part) for part in parts)


def _checked(images: np.ndarray, rows: np.ndarray, encoder: EncoderConfig) -> np.ndarray:
    """Return the rows in ascending order, int64, or refuse them or the images."""
    check_images(images, encoder.image_size)
    if rows.ndim != 1 or len(rows) == 0 or rows.dtype.kind not in "iu":
        raise MedDELError("no images are kept for pre-training", fix="pass the integer rows of at least one image")
    if rows.min() < 0 or rows.max() >= len(images) or len(np.unique(rows)) < len(rows):
        raise MedDELError(f"rows repeat or are outside the {len(images)} images", fix="pass each kept row once")
    return np.sort(rows).astype(np.int64)


def check_images(images: np.ndarray, side: int) -> None:
    """Refuse images that an encoder of `side` pixels can't see."""
    if images.dtype != np.uint8 or images.ndim != 4 or images.shape[1:] != (side, side, 3) or not len(images):
        problem = f"images are {images.dtype} {images.shape}"
        raise MedDELError(problem, fix=f"decode them as uint8 [n, {side}, {side}, 3], at least one")
