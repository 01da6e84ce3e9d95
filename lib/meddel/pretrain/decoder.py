"""A masked autoencoder's decoder for an encoder that has none: fitted to it while the encoder stays as it is.

Pre-training keeps the encoder only, and other encoders never had a decoder. What it costs to rebuild an image then
tells how hard it is for this encoder, whatever it was trained by.
"""

from __future__ import annotations

import io
import time
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file
from safetensors.torch import save as to_safetensors
from torch import Generator, Tensor

from meddel import artefacts
from meddel import encoder as encoders
from meddel.config import PretrainConfig
from meddel.errors import MedDELError
from meddel.pretrain.checkpoint import read as read_checkpoint
from meddel.pretrain.mae import MAE
from meddel.pretrain.optimise import bfloat16_products, forked, learning_rate, mixed_precision, parameter_groups
from meddel.pretrain.order import batch_bounds, image_order, random_state
from meddel.progress import progress

_BETAS = (0.9, 0.95)


def fit(
    weights: Path,
    images: np.ndarray,
    config: PretrainConfig,
    seed: int,
    out: Path,
    *,
    device: str = "cpu",
    data_hash: str | None = None,
) -> MAE:
    """Return a masked autoencoder of the encoder in `weights`, unchanged, and a decoder fitted to it on `images`.

    The loss, views and schedule are those of `meddel.pretrain.pretrain` with method ``mae``.

    Parameters
    ----------
    weights : Path
        An encoder that `meddel.encoder.save` wrote.
    images : uint8 [n, s, s, 3]
        RGB, of the encoder's size; may be a memory map.
    config : PretrainConfig
        How long (`images_seen`) and how; `method` and `equal` are not read.
    seed : int
        Of the decoder's first weights, the order of images, the views and the masks.
    out : Path
        Folder of ``decoder.safetensors`` and, until the end, ``decoder.pt``. A finished fit of the same inputs is not
        done again, one that was cut off goes on.
    device : str
        As torch names it.
    data_hash : str or None
        Identity of `images`; None computes it from the pixels.

    Raises
    ------
    MedDELError
        No readable weights, images of another size or none, a loss that is not finite, a full disk.
    """
    encoder, size = encoders.load(weights)
    check_images(images, size.image_size)
    model = _around(encoder, config, seed, torch.device(device))
    path = out / "decoder.safetensors"
    settings = config.model_dump(mode="json", exclude={"checkpoint_seconds", "method", "equal", "temperature"})
    data_hash = artefacts.hash_of(images) if data_hash is None else data_hash
    key = artefacts.hash_of("decoder", artefacts.hash_of_file(weights), settings, seed, data_hash)
    if not artefacts.is_finished(path, key):
        with artefacts.recorded(path, key, parameters=settings, seed=seed, data_hash=data_hash, device=device):
            _train(model, images, config, seed, out / "decoder.pt", key)
            artefacts.write_bytes(path, to_safetensors(decoder_state(model)))
        (out / "decoder.pt").unlink(missing_ok=True)
    model.load_state_dict(load_file(path), strict=False)
    return model.eval()


def decoder_state(model: MAE) -> dict[str, Tensor]:
    """Return the weights of all parts but the encoder, on the CPU."""
    parts = ("embed.", "decoder.", "predict.")
    return {name: value.cpu().contiguous() for name, value in model.state_dict().items() if name.startswith(parts)}


def check_images(images: np.ndarray, size: int) -> None:
    """Refuse, by `MedDELError`, images that an encoder of `size` pixels can't see."""
    if images.dtype != np.uint8 or images.ndim != 4 or images.shape[1:] != (size, size, 3) or not len(images):
        raise MedDELError(
            f"images are {images.dtype} {images.shape}", fix=f"decode at least one as uint8 [n, {size}, {size}, 3]"
        )


def _around(encoder: torch.nn.Module, config: PretrainConfig, seed: int, device: torch.device) -> MAE:
    """Return an autoencoder whose encoder is as it was: MAE draws the weights of what it is given anew."""
    before = {name: value.clone() for name, value in encoder.state_dict().items()}
    with forked(device):
        torch.manual_seed(random_state(seed, "decoder"))
        model = MAE(encoder, config)
    encoder.load_state_dict(before)
    encoder.requires_grad_(False)
    return model.to(device)


def _train(model: MAE, images: np.ndarray, config: PretrainConfig, seed: int, checkpoint: Path, key: str) -> None:
    device = model.predict.weight.device
    bounds = batch_bounds(config.images_seen, config.batch).tolist()
    steps, order = len(bounds) - 1, image_order(len(images), config.images_seen, config.batch, seed)
    groups = parameter_groups(model, config.weight_decay)
    optimiser = torch.optim.AdamW(groups, lr=config.lr, betas=_BETAS, fused=True)
    first, saved = _restore(model, optimiser, checkpoint, key), time.monotonic()
    loss = torch.zeros((), device=device)
    with progress(what="fit a decoder", total=config.images_seen, unit="image", done=bounds[first]) as bar:
        for step in range(first, steps):
            batch = torch.from_numpy(images[order[bounds[step] : bounds[step + 1]]]).to(device)
            for group in optimiser.param_groups:
                group["lr"] = learning_rate(step, steps, config.lr, config.warmup)
            with bfloat16_products(device):
                with mixed_precision(device):
                    loss = model(batch, Generator().manual_seed(random_state(seed, "decoder step", step)))
                optimiser.zero_grad(set_to_none=True)
                loss.backward()
            optimiser.step()
            bar.update(len(batch))
            if time.monotonic() - saved > config.checkpoint_seconds and step + 1 < steps:
                _save(model, optimiser, checkpoint, key, step + 1)
                saved = time.monotonic()
    if not torch.isfinite(loss):
        raise MedDELError("the loss of the decoder is not finite", fix="lower pretrain.lr or lengthen pretrain.warmup")


def _save(model: MAE, optimiser: torch.optim.Optimizer, path: Path, key: str, done: int) -> None:
    buffer = io.BytesIO()
    state = {"key": key, "done": done, "decoder": decoder_state(model), "optimiser": optimiser.state_dict()}
    torch.save(state, buffer)
    artefacts.write_bytes(path, buffer.getvalue())


def _restore(model: MAE, optimiser: torch.optim.Optimizer, path: Path, key: str) -> int:
    """Load the checkpoint of this very fit, if there is one, and return the number of finished steps."""
    if not path.is_file():
        return 0
    try:
        state = read_checkpoint(path, model.predict.weight.device)
        if state["key"] != key:
            return 0
        model.load_state_dict(state["decoder"], strict=False)
        optimiser.load_state_dict(state["optimiser"])
        return state["done"]
    except Exception as error:  # torch raises whatever the broken bytes lead to
        raise MedDELError("the checkpoint can't be read", path, "delete it to start over") from error
