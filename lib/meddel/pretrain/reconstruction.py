"""How badly an encoder rebuilds each image under a mask: what the selector ``hardness`` goes by.

An encoder is kept without the decoder that it was pre-trained with, if it had one. So a decoder is fitted to it first,
by MAE's loss and schedule, while the encoder stays as it is.

The masks are the same for all images and take turns: with v of p patches visible, mask m shows the patches from m v to
(m + 1) v of one drawn order, around its end. So every patch is hidden by about as many masks as any other, and an
image's error depends on nothing but its pixels, the encoder, the settings and the seed.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from meddel import artefacts
from meddel import encoder as encoders
from meddel.config import PretrainConfig
from meddel.pretrain.loop import Training, check_images, clear
from meddel.pretrain.mae import MAE
from meddel.pretrain.optimise import forked, mixed_precision
from meddel.pretrain.order import random_state, schedule
from meddel.progress import progress

_MASKS, _BATCH = 4, 64


def reconstruction_errors(
    weights: Path,
    images: np.ndarray,
    config: PretrainConfig,
    seed: int,
    out: Path,
    *,
    device: str = "cpu",
    data_hash: str | None = None,
) -> np.ndarray:
    """Return how badly each image is rebuilt by the encoder in `weights` and a decoder that is fitted to it.

    Parameters
    ----------
    weights, images : Path, uint8 [n, s, s, 3]
        An encoder that `meddel.encoder.save` wrote; RGB of its size, may be a memory map.
    config, seed : PretrainConfig, int
        How long (`images_seen`) and how; of the decoder's weights, the order of images, the views and the masks.
    out : Path
        Folder of ``errors.npy`` and, until the end, ``checkpoint.pt``: a fit that was cut off goes on.

    Returns
    -------
    float32 [n]
        MAE's loss, the mean over all patches of an image: 1 for a patch of which only the mean is guessed.
    """
    encoder, size = encoders.load(weights)
    check_images(images, size.image_size)
    config = config.model_copy(update={"method": "mae", "equal": "compute"})
    settings = config.model_dump(mode="json", exclude={"checkpoint_seconds", "temperature"})
    data_hash = artefacts.hash_of(images) if data_hash is None else data_hash
    path = out / "errors.npy"
    key = artefacts.hash_of("errors", artefacts.hash_of_file(weights), settings, seed, data_hash, _MASKS)
    if not artefacts.is_finished(path, key):
        given = {"parameters": settings, "seed": seed, "data_hash": data_hash, "device": device}
        with artefacts.recorded(path, key, **given) as meter:
            model, plan = _with_decoder(encoder, config, seed), schedule(config, len(images), len(images))
            training = Training(model, images, np.arange(len(images)), plan, config, seed, device)
            training.run(out / "checkpoint.pt", key, meter)
            artefacts.write_array(path, _errors(model.eval(), images, visible_patches(model, seed), device))
        clear(out)
    return np.load(path)


def _with_decoder(encoder: torch.nn.Module, config: PretrainConfig, seed: int) -> MAE:
    """Return an autoencoder whose encoder is as it was, and is not trained."""
    before = {name: value.clone() for name, value in encoder.state_dict().items()}
    with forked(torch.device("cpu")):
        torch.manual_seed(random_state(seed, "decoder"))
        model = MAE(encoder, config)
    encoder.load_state_dict(before)
    encoder.requires_grad_(False)
    return model


def visible_patches(model: MAE, seed: int) -> Tensor:
    """Return the patches that each mask shows, int64 [masks, v]; as many masks as it takes to hide each patch."""
    masks = max(_MASKS, -(-model.patches // (model.patches - model.visible)))
    order = np.random.default_rng(random_state(seed, "masks")).permutation(model.patches)
    shown = np.arange(masks * model.visible).reshape(masks, model.visible)
    return torch.from_numpy(order[shown % model.patches])


@torch.inference_mode()
def _errors(model: MAE, images: np.ndarray, shown: Tensor, device: str) -> np.ndarray:
    """Return the mean over patches of their mean error over the masks that hide them: float32 [n]."""
    mean_and_deviation, found = encoders.statistics(model.encoder), []
    every, shown = torch.arange(model.patches, device=device), shown.to(device)
    with progress(what="rebuild", total=len(images), unit="image") as bar:
        for start in range(0, len(images), _BATCH):
            stack = torch.from_numpy(np.array(images[start : start + _BATCH])).to(device)
            views = encoders.normalise(stack, *mean_and_deviation)
            asked = every.expand(len(views), -1)
            target, total, times = model.target(views, asked), 0.0, 0.0
            for mask in shown:
                with mixed_precision(torch.device(device)):
                    rebuilt = model.predicted(views, mask.expand(len(views), -1), asked)
                hidden = ~torch.isin(every, mask)
                total = total + (rebuilt - target).square().mean(dim=-1) * hidden
                times = times + hidden
            found.append((total / times).mean(dim=1).cpu().numpy())
            bar.update(len(stack))
    return np.concatenate(found)
