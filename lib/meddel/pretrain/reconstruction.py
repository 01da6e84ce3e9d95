"""How badly a masked autoencoder rebuilds each patch: the hardness that selecting and tiling go by.

The masks are fixed, the same for all images, and take turns: with v of p patches visible, mask m shows the patches from
m v to (m + 1) v of one drawn order, around its end. So every patch is hidden by about as many masks as any other, by at
least one, and an image's error depends on nothing but its pixels, the encoder, the decoder and the seed.

The error of a hidden patch is MAE's loss: the mean squared difference to its pixels, all three channels together,
scaled to mean 0 and variance 1. So a patch of which only the mean is guessed has an error of 1, however faint its
texture is; the target of a flat grey one is 0, and that of a flat coloured one its colour, which a short fit misses.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from lightly.models.utils import get_at_index, patchify, repeat_token, set_at_index
from torch import Tensor

from meddel import artefacts, encoder
from meddel.config import PretrainConfig
from meddel.errors import MedDELError
from meddel.pretrain import decoder
from meddel.pretrain.mae import MAE
from meddel.pretrain.optimise import mixed_precision
from meddel.pretrain.order import random_state
from meddel.progress import progress

_IMAGES_A_PART = 2048


def reconstruction_errors(
    weights: Path,
    images: np.ndarray,
    config: PretrainConfig,
    seed: int,
    out: Path,
    *,
    masks: int = 4,
    batch: int = 64,
    device: str = "cpu",
    data_hash: str | None = None,
) -> np.ndarray:
    """Return how badly each image is rebuilt: the mean of `patch_errors`, whose parameters these are.

    Returns
    -------
    float32 [n], by row of `images`: what the selector ``hardness`` takes as ``errors``.
    """
    options = {"masks": masks, "batch": batch, "device": device, "data_hash": data_hash}
    return patch_errors(weights, images, config, seed, out, **options).mean(axis=1)


def patch_errors(
    weights: Path,
    images: np.ndarray,
    config: PretrainConfig,
    seed: int,
    out: Path,
    *,
    masks: int = 4,
    batch: int = 64,
    device: str = "cpu",
    data_hash: str | None = None,
) -> np.ndarray:
    """Return how badly each patch of each image is rebuilt by the encoder in `weights` and a decoder fitted to it.

    Parameters
    ----------
    weights, images, config, seed, device, data_hash
        As for `meddel.pretrain.decoder.fit`, which is called first; the seed also draws the masks.
    out : Path
        Folder of ``errors.npy`` and the decoder. Finished work is not done again, work that was cut off goes on behind
        the last finished part.
    masks : int
        How many. Enough that every patch is hidden by one: at a mask ratio of 0.75 two, and each hides three quarters.
    batch : int
        Images at a time; changes nothing but speed, memory and rounding.

    Returns
    -------
    float32 [n, p]
        The mean over the masks that hide the patch; patches row by row from the top left.

    Raises
    ------
    MedDELError
        Too few masks, `batch` below 1, or as for `meddel.pretrain.decoder.fit`.
    """
    if batch < 1:
        raise MedDELError(f"batch {batch} makes no sense", fix="give at least 1")
    data_hash = artefacts.hash_of(images) if data_hash is None else data_hash
    model = decoder.fit(weights, images, config, seed, out, device=device, data_hash=data_hash)
    shown = visible_patches(model, masks, seed)
    path = out / "errors.npy"
    decoder_hash = artefacts.hash_of_file(out / "decoder.safetensors")
    key = artefacts.hash_of("errors", artefacts.hash_of_file(weights), decoder_hash, shown.numpy(), data_hash)
    if not artefacts.is_finished(path, key):
        parameters = {"masks": masks, "batch": batch, "pretrain": config.model_dump()}
        with artefacts.recorded(path, key, parameters=parameters, seed=seed, data_hash=data_hash, device=device):
            _write(path, key, model, images, shown, batch)
    return np.load(path)


def visible_patches(model: MAE, masks: int, seed: int) -> Tensor:
    """Return the patches that each mask shows: int64 [masks, v].

    Raises
    ------
    MedDELError
        So few masks that some patch is always visible.
    """
    patches, visible = model.encoder.patch_embed.num_patches, model.visible
    if masks * (patches - visible) < patches:
        least = -(-patches // (patches - visible))
        raise MedDELError(f"{masks} masks of {patches - visible} patches don't hide all {patches}",
                          fix=f"give at least {least} masks")  # fmt: skip
    order = np.random.default_rng(random_state(seed, "masks")).permutation(patches)
    return torch.from_numpy(order[np.arange(masks * visible).reshape(masks, visible) % patches])


def _write(path: Path, key: str, model: MAE, images: np.ndarray, shown: Tensor, batch: int) -> None:
    """Write the errors part by part, then as one file; parts of other inputs don't count and are removed."""
    mine, parts = f"{path.stem}-{key[:16]}", []
    with progress(what="rebuild", total=len(images), unit="image") as bar:
        for start in range(0, len(images), _IMAGES_A_PART):
            stop = min(start + _IMAGES_A_PART, len(images))
            parts.append(path.with_name(f"{mine}-{start:09d}.npy"))
            if parts[-1].exists():
                bar.update(stop - start)
                continue
            errors = []
            for begin in range(start, stop, batch):
                stack = torch.from_numpy(np.array(images[begin : min(begin + batch, stop)]))
                errors.append(errors_of(model, stack.to(model.predict.weight.device), shown))
                bar.update(len(stack))
            artefacts.write_array(parts[-1], np.concatenate(errors))
    artefacts.write_array(path, np.concatenate([np.load(part) for part in parts]))
    for part in path.parent.glob(f"{path.stem}-*.npy"):
        part.unlink()


@torch.inference_mode()
def errors_of(model: MAE, stack: Tensor, shown: Tensor) -> np.ndarray:
    """Return the errors of all patches of a few images.

    Parameters
    ----------
    model : MAE
    stack : Tensor
        uint8 [b, s, s, 3], RGB, on the model's device.
    shown : Tensor
        int64 [masks, v], as from `visible_patches`.

    Returns
    -------
    float32 [b, p], the mean over the masks that hide the patch.
    """
    views = encoder.normalise(stack, *encoder.statistics(model.encoder))
    patches = patchify(views, model.patch_size)
    variance, mean = torch.var_mean(patches, dim=-1, keepdim=True)
    target = (patches - mean) / (variance + 1e-6).sqrt()
    count, places = target.shape[:2]
    total, times = torch.zeros(count, places, device=target.device), torch.zeros(places, device=target.device)
    for patch in shown.to(target.device):
        hidden = torch.ones(places, dtype=torch.bool, device=target.device)
        hidden[patch] = False
        total[:, hidden] += (rebuilt(model, views, patch)[:, hidden] - target[:, hidden]).square().mean(dim=-1)
        times += hidden
    return (total / times).cpu().numpy()


def rebuilt(model: MAE, views: Tensor, patch: Tensor) -> Tensor:
    """Return all patches as the model predicts them from a few.

    Parameters
    ----------
    model : MAE
    views : Tensor
        float32 [b, 3, s, s], normalised.
    patch : Tensor
        int64 [v], the patches that it sees.

    Returns
    -------
    float32 [b, p, 3 * patch_size^2], pixels that were scaled to mean 0 and variance 1 in each patch.
    """
    prefix = torch.arange(model.prefix, device=views.device)
    keep = torch.cat([prefix, patch + model.prefix]).expand(len(views), -1)
    every = torch.arange(model.prefix, model.decoder.sequence_length, device=views.device).expand(len(views), -1)
    with mixed_precision(views.device):
        tokens = model.embed(model.masked.encode(views, idx_keep=keep))
        sequence = repeat_token(model.decoder.mask_token, (len(views), model.decoder.sequence_length))
        decoded = model.decoder(set_at_index(sequence, keep, tokens.type_as(sequence)))
        return model.predict(get_at_index(decoded, every)).float()
