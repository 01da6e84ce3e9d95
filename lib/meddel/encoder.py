"""The encoder: a plain ViT (timm), its weights in one safetensors file with its configuration inside.

Section 3.2 of the paper embeds with the last layer of a ViT encoder (768-d); section 4.1 pre-trains a ViT-Base. Which
weights embed is not stated, so they come from the hub, from a file, or from our own pre-training.
"""

from __future__ import annotations

import json
from pathlib import Path

import timm
import torch
from huggingface_hub import get_hf_file_metadata, hf_hub_url, try_to_load_from_cache
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file
from safetensors.torch import save as to_safetensors
from timm.data import IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor

from meddel import artefacts
from meddel.config import EncoderConfig, validated
from meddel.errors import MedDELError

HUB_NAME = "vit_base_patch16_224"
_CONFIG_KEY = "meddel.encoder"


def build(config: EncoderConfig, seed: int) -> VisionTransformer:
    """Return a ViT without pooling and head, with random weights which depend on `config` and `seed` only.

    It maps float [b, 3, s, s] to float [b, 1 + (s / patch)^2, width], class token first.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return VisionTransformer(
            img_size=config.image_size,
            patch_size=config.patch_size,
            embed_dim=config.width,
            depth=config.depth,
            num_heads=config.heads,
            num_classes=0,
            global_pool="",
        )


def config_of(model: VisionTransformer) -> EncoderConfig:
    """Return the configuration of a plain ViT on square images and patches, or refuse another model."""
    if not isinstance(model, VisionTransformer):
        raise MedDELError(f"{type(model).__name__} is no plain ViT", fix=f"choose one such as {HUB_NAME}")
    size, patch = model.patch_embed.img_size, model.patch_embed.patch_size
    if size is None or size[0] != size[1] or patch[0] != patch[1]:
        raise MedDELError(f"a ViT on images {size} with patches {patch} is not square", fix="choose a square one")
    return EncoderConfig(
        image_size=size[0],
        patch_size=patch[0],
        width=model.embed_dim,
        depth=len(model.blocks),
        heads=model.blocks[0].attn.num_heads,
    )


def statistics(model: VisionTransformer) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return the mean and standard deviation per channel (0 to 1, RGB) of the model's training, else ImageNet's."""
    published = getattr(model, "pretrained_cfg", None) or {}
    mean, std = published.get("mean", IMAGENET_DEFAULT_MEAN), published.get("std", IMAGENET_DEFAULT_STD)
    return tuple(mean), tuple(std)


def normalise(
    images: Tensor,
    mean: tuple[float, ...] = IMAGENET_DEFAULT_MEAN,
    std: tuple[float, ...] = IMAGENET_DEFAULT_STD,
) -> Tensor:
    """Scale uint8 images, [b, s, s, 3] or [b, 3, s, s], to zero mean and unit variance: float32 [b, 3, s, s]."""
    if images.dtype != torch.uint8 or images.ndim != 4 or 3 not in (images.shape[1], images.shape[3]):
        what = f"images are {images.dtype} {tuple(images.shape)}"
        raise MedDELError(what, fix="pass uint8 [b, s, s, 3] or [b, 3, s, s]")
    if images.shape[3] == 3:
        images = images.permute(0, 3, 1, 2)
    centre = 255 * torch.tensor(mean, device=images.device).view(3, 1, 1)
    scale = 255 * torch.tensor(std, device=images.device).view(3, 1, 1)
    return images.float().sub_(centre).div_(scale).contiguous()


def save(model: VisionTransformer, config: EncoderConfig, path: Path) -> None:
    """Write the weights as safetensors with `config` as metadata, atomically; equal weights give equal bytes."""
    weights = {name: value.detach().cpu().contiguous() for name, value in model.state_dict().items()}
    mean, std = statistics(model)
    content = {"config": config.model_dump(), "mean": mean, "std": std}
    metadata = {_CONFIG_KEY: json.dumps(content, sort_keys=True)}
    artefacts.write_bytes(path, to_safetensors(weights, metadata))


def load(path: Path, device: str | torch.device = "cpu") -> tuple[VisionTransformer, EncoderConfig]:
    """Return the encoder which `save` wrote to `path`, in evaluation mode, and its configuration."""
    metadata = _metadata(path)
    if _CONFIG_KEY not in metadata:
        raise MedDELError("the weights carry no encoder configuration", path, "give a file that meddel wrote")
    try:
        content = json.loads(metadata[_CONFIG_KEY])
        values = dict(content["config"])
        mean, std = ([float(content[name][channel]) for channel in range(3)] for name in ("mean", "std"))
    except (KeyError, IndexError, TypeError, ValueError, RecursionError) as error:
        raise MedDELError("no readable encoder configuration", path, "give a file that meddel wrote") from error
    config, state = validated(EncoderConfig, values), _read_state(path)
    patches = (config.image_size // config.patch_size) ** 2
    # checked before the model is built: the file decides how large that is
    if (12 * config.depth * config.width + patches) * config.width > sum(tensor.numel() for tensor in state.values()):
        raise MedDELError("fewer weights than the file's own configuration asks for", path, "fetch or write it again")
    model = build(config, seed=0)
    model.pretrained_cfg = {"mean": mean, "std": std}
    _load_weights(model, state, path)
    return model.to(device).eval(), config


def hub(name: str = HUB_NAME, weights: Path | None = None) -> tuple[VisionTransformer, EncoderConfig]:
    """Return a pre-trained timm ViT without pooling and head, in evaluation mode, and its configuration.

    Parameters
    ----------
    name : str
        A plain ViT of timm. Ignored for a file of `save`.
    weights : Path or None
        Weights as timm gives them (``.safetensors``, ``.pth``, ``.pt``, ``.bin``) or a file of `save`; None fetches
        them from the hub.

    Raises
    ------
    MedDELError
        Unknown name, the hub can't be reached, the file can't be read, or its weights belong to another model.
    """
    if weights is not None and weights.suffix == ".safetensors" and _CONFIG_KEY in _metadata(weights):
        return load(weights)
    if not timm.is_model(name):
        raise MedDELError(f"timm knows no model {name!r}", fix=f"choose one such as {HUB_NAME}")
    if weights is None:
        model = _download(name)
    else:
        with torch.random.fork_rng(devices=[]):
            model = timm.create_model(name, pretrained=False, num_classes=0, global_pool="")
        _load_weights(model, _read_state(weights), weights)
    return model.eval(), config_of(model)


def _download(name: str) -> torch.nn.Module:
    """Return the pre-trained model from the hub or its local cache."""
    published = timm.models.get_pretrained_cfg(name)
    if published is None or not published.has_weights:
        raise MedDELError(f"timm has no weights for {name!r}", fix=f"choose one such as {HUB_NAME}")
    repository = published.hf_hub_id
    try:
        if repository and not isinstance(try_to_load_from_cache(repository, "model.safetensors"), str):
            # asked first, because the download itself tries for a minute before it gives up
            get_hf_file_metadata(hf_hub_url(repository, "config.json"))
        with torch.random.fork_rng(devices=[]):
            return timm.create_model(name, pretrained=True, num_classes=0, global_pool="")
    except Exception as error:  # the hub's client raises a dozen kinds, from OSError to its own
        raise MedDELError(
            f"can't fetch the weights of {name} from the hub ({type(error).__name__})",
            fix="give a file with --weights own.safetensors, or connect to the network",
        ) from error


def _metadata(path: Path) -> dict[str, str]:
    if not path.is_file():
        raise MedDELError("no such weights file", path, "give a .safetensors or .pth file")
    try:
        with safe_open(path, framework="pt") as file:
            return file.metadata() or {}
    except (SafetensorError, OSError) as error:
        raise MedDELError("no readable safetensors file", path, "fetch or write it again") from error


def _read_state(path: Path) -> dict[str, Tensor]:
    """Return a state dictionary from a file as timm or MAE's authors publish them."""
    if not path.is_file():
        raise MedDELError("no such weights file", path, "give a .safetensors or .pth file")
    try:
        state = load_file(path) if path.suffix == ".safetensors" else torch.load(path, "cpu", weights_only=True)
    except Exception as error:  # torch.load raises whatever the broken bytes lead to
        raise MedDELError("no readable weights file", path, "give a .safetensors or .pth file of tensors") from error
    for key in ("state_dict", "model"):
        if isinstance(state, dict) and isinstance(state.get(key), dict):
            state = state[key]
    return state


def _load_weights(model: VisionTransformer, state: dict[str, Tensor], path: Path) -> None:
    """Load `state`, in which nothing may be missing; what only a head, a pooling or a decoder needs is left out."""
    foreign = ("head", "fc_norm", "decoder", "mask_token", "pre_logits")
    state = {key: value for key, value in state.items() if not key.startswith(foreign)}
    try:
        model.load_state_dict(state, strict=True)
    except (RuntimeError, AttributeError, TypeError) as error:
        cause = next((line.strip() for line in str(error).splitlines()[1:]), str(error))
        raise MedDELError(
            f"the weights don't fit the model: {cause[:120]}", path, "name the model they are of"
        ) from error
