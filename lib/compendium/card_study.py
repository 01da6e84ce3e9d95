"""Run the study on one GPU: pre-train a ViT-S on each arm's images and segment with it; see ``docs/protocol.md``.

It needs torch, timm, NumPy, Pillow and the pack of `compendium.card_pack`, and no network. Each finished cell is
written at once to ``cells.jsonl``; a second call goes on behind it.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import math
import os
import time
import traceback
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import timm
import torch
import torch.nn.functional as F
from PIL import Image
from timm.models.vision_transformer import Block, VisionTransformer
from torch import Tensor, nn

T = TypeVar("T")
State = dict[str, Tensor]
SIDE, PATCH, GRID, TOKENS = 128, 8, 16, 256
SETS = ("kvasir_seg", "cvc_clinicdb", "isic2017")
PRIMARY_ARMS = ("step0", "all", "random", "meddel_near", "meddel_far")
ARMS = (*PRIMARY_ARMS, "target_like", "k_center", "hierarchical", "cifar")
PRIMARY_HEADS, FEW = ("probe", "fine100"), 100
SEEDS, SEARCH_SEED = tuple(range(10)), 100
SEARCH_SHARE, FINE_SHARE = 0.25, 0.12  # of the minutes: choosing the recipe, and fine-tuning on all labels at the end
MEAN, STD, ORIENTATIONS = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225), 9


@dataclass(frozen=True)
class Recipe:
    """How an encoder is pre-trained: what is predicted, how much is hidden, and how often the base length."""

    target: str
    hidden: float
    lengths: int = 1

    @property
    def kept(self) -> int:
        """The number of visible tokens."""
        return TOKENS - round(self.hidden * TOKENS)

    @property
    def outputs(self) -> int:
        """The numbers that are predicted for each patch."""
        return {"pixels": 3 * PATCH**2, "hog": 3 * ORIENTATIONS}[self.target]


RECIPES = {  # in the order in which they are tried
    "pixels75": Recipe("pixels", 0.75),
    "hog75": Recipe("hog", 0.75),
    "pixels60": Recipe("pixels", 0.6),
    "pixels75_long": Recipe("pixels", 0.75, 3),
}


@dataclass(frozen=True)
class Size:
    """The sizes of the networks and the lengths of their trainings."""

    width: int = 384
    depth: int = 12
    heads: int = 6
    decoder_width: int = 192
    decoder_depth: int = 4
    decoder_heads: int = 3
    batch: int = 256
    least_images: int = 200_000
    most_images: int = 300_000
    probe_epochs: int = 15
    fine_epochs: int = 25
    few_epochs: int = 100
    probe_batch: int = 128
    fine_batch: int = 64
    chunk: int = 64


FULL = Size()
TINY = Size(64, 2, 4, 32, 1, 2, 8, 16, 16, 1, 1, 1, 8, 4, 8)


@dataclass(frozen=True)
class Pack:
    """The pack in memory: uint8 images [n, 3, 128, 128] and bool masks [m, 128, 128] on the device, and rows."""

    images: Tensor
    masks: Tensor
    mask_of: np.ndarray
    rows: dict[str, np.ndarray]

    def mask(self, rows: np.ndarray) -> Tensor:
        """Return the masks of these rows."""
        return self.masks[torch.as_tensor(self.mask_of[rows], device=self.masks.device).long()]


def load_pack(folder: Path, device: torch.device) -> Pack:
    """Decode the whole pack with threads and move it to the device."""
    with np.load(folder / "meta.npz") as meta:
        offsets = meta["offsets"].tolist()
    content = (folder / "images.bin").read_bytes()

    def decoded(i: int) -> np.ndarray:
        picture = Image.open(io.BytesIO(content[offsets[i] : offsets[i + 1]])).convert("RGB")
        return np.asarray(picture if picture.size == (SIDE, SIDE) else picture.resize((SIDE, SIDE), Image.BICUBIC))

    with ThreadPoolExecutor(os.cpu_count() or 1) as workers:
        images = np.stack(list(workers.map(decoded, range(len(offsets) - 1))))
    with np.load(folder / "masks.npz") as found:
        masks, mask_of = np.unpackbits(found["masks"], axis=1).reshape(-1, SIDE, SIDE).astype(bool), found["mask_of"]
    with np.load(folder / "splits.npz") as found:
        rows = {name: found[name] for name in found.files}
    on_device = torch.from_numpy(images).permute(0, 3, 1, 2).contiguous().to(device)
    return Pack(on_device, torch.from_numpy(masks).to(device), mask_of, rows)


def positions(width: int) -> Tensor:
    """Return the fixed sine and cosine positions of a masked autoencoder: float32 [1, 256, width]."""
    omega = 1 / 10000 ** (torch.arange(width // 4, dtype=torch.float64) / (width / 4))
    angles = torch.arange(GRID, dtype=torch.float64)[:, None] * omega
    line = torch.cat([angles.sin(), angles.cos()], 1)
    down, across = line[:, None].expand(GRID, GRID, -1), line[None].expand(GRID, GRID, -1)
    return torch.cat([across, down], 2).reshape(1, TOKENS, width).float()


def initialise(module: nn.Module) -> None:
    """Draw Xavier weights, as masked autoencoders start from."""
    for layer in module.modules():
        if isinstance(layer, (nn.Linear, nn.Conv2d)):
            nn.init.xavier_uniform_(layer.weight.view(len(layer.weight), -1))
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)


def make_encoder(size: Size) -> VisionTransformer:
    """Make the encoder with weights of torch's global generator."""
    sizes = {"embed_dim": size.width, "depth": size.depth, "num_heads": size.heads}
    encoder = VisionTransformer(SIDE, PATCH, class_token=False, global_pool="", num_classes=0, **sizes)
    initialise(encoder)
    encoder.pos_embed.requires_grad_(False).copy_(positions(size.width))
    return encoder


class Predictor(nn.Module):
    """The light decoder of the masked autoencoder, thrown away after pre-training."""

    def __init__(self, size: Size, outputs: int) -> None:
        super().__init__()
        self.embed = nn.Linear(size.width, size.decoder_width)
        self.hidden = nn.Parameter(torch.randn(1, 1, size.decoder_width) * 0.02)
        self.blocks = nn.ModuleList(Block(size.decoder_width, size.decoder_heads) for _ in range(size.decoder_depth))
        self.norm = nn.LayerNorm(size.decoder_width)
        self.out = nn.Linear(size.decoder_width, outputs)
        self.register_buffer("places", positions(size.decoder_width))
        initialise(self)


class Decoder(nn.Module):
    """The segmentation decoder of all heads: [b, channels, 16, 16] to logits [b, 128, 128]."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.mix, self.mixed = nn.Conv2d(channels, 128, 1), nn.GroupNorm(8, 128)
        self.look, self.looked = nn.Conv2d(128, 128, 3, padding=1), nn.GroupNorm(8, 128)
        self.out = nn.Conv2d(128, 1, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits."""
        x = F.gelu(self.mixed(self.mix(x)))
        x = F.gelu(self.looked(self.look(x)))
        x = self.out(F.interpolate(x, scale_factor=4, mode="bilinear", align_corners=False))
        return F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)[:, 0].float()


def number(*parts: object) -> int:
    """Return a seed that these parts decide."""
    return zlib.crc32(repr(parts).encode())


def digest(state: State) -> str:
    """Return the SHA-256 of all tensors' bytes."""
    found = hashlib.sha256()
    for name in sorted(state):
        found.update(name.encode() + state[name].detach().cpu().contiguous().numpy().tobytes())
    return found.hexdigest()


def random_views(n: int, least: float, random: torch.Generator) -> Tensor:
    """Draw n crops of at least this share of the area, flipped both ways at random: affine maps [n, 2, 3]."""
    drawn = torch.rand(6, n, device=random.device, generator=random)
    area, ratio = least + (1 - least) * drawn[0], ((2 * drawn[1] - 1) * math.log(4 / 3)).exp()
    width, height = (area * ratio).sqrt().clamp(max=1), (area / ratio).sqrt().clamp(max=1)
    view = torch.zeros(n, 2, 3, device=random.device)
    view[:, 0, 0], view[:, 0, 2] = width * (drawn[4] < 0.5).float().mul(2).sub(1), (2 * drawn[2] - 1) * (1 - width)
    view[:, 1, 1], view[:, 1, 2] = height * (drawn[5] < 0.5).float().mul(2).sub(1), (2 * drawn[3] - 1) * (1 - height)
    return view


def seen(x: Tensor, view: Tensor, mode: str = "bilinear") -> Tensor:
    """Return float images [n, c, 128, 128] as the views show them."""
    grid = F.affine_grid(view, list(x.shape), align_corners=False)
    return F.grid_sample(x, grid, mode=mode, padding_mode="border", align_corners=False)


def scaled(x: Tensor) -> Tensor:
    """Return images of 0 to 1 with ImageNet's mean and deviation taken out, a constant of every arm."""
    mean, deviation = x.new_tensor(MEAN).view(1, 3, 1, 1), x.new_tensor(STD).view(1, 3, 1, 1)
    return (x - mean) / deviation


def augmented(images: Tensor, view: Tensor, random: torch.Generator) -> Tensor:
    """Return uint8 images cropped, flipped, with light changes of brightness and contrast, and scaled."""
    drawn = torch.rand(2, len(images), 1, 1, 1, device=random.device, generator=random)
    x = (seen(images.float() / 255, view) - 0.5) * (0.8 + 0.4 * drawn[0]) + 0.4 + 0.2 * drawn[1]
    return scaled(x.clamp(0, 1))


def pixel_target(x: Tensor) -> Tensor:
    """Return the pixels of each patch, scaled to mean 0 and variance 1 within it: [b, 256, 192]."""
    patches = x.reshape(len(x), 3, GRID, PATCH, GRID, PATCH).permute(0, 2, 4, 3, 5, 1).reshape(len(x), TOKENS, -1)
    return (patches - patches.mean(-1, keepdim=True)) / (patches.var(-1, keepdim=True) + 1e-6).sqrt()


def hog_target(x: Tensor) -> Tensor:
    """Return each patch's histogram of gradient directions, by channel, of length 1: [b, 256, 27]."""
    b = len(x)
    padded = F.pad(x, (1, 1, 1, 1), mode="replicate")
    across, down = padded[:, :, 1:-1, 2:] - padded[:, :, 1:-1, :-2], padded[:, :, 2:, 1:-1] - padded[:, :, :-2, 1:-1]
    place = torch.atan2(down, across).remainder(math.pi) * (ORIENTATIONS / math.pi)
    strength = (across.square() + down.square()).sqrt()
    histogram = x.new_zeros(b, 3, ORIENTATIONS, SIDE, SIDE)
    histogram.scatter_(2, place.long().clamp(0, ORIENTATIONS - 1).unsqueeze(2), strength.unsqueeze(2))
    pooled = F.avg_pool2d(histogram.reshape(b, -1, SIDE, SIDE), PATCH).reshape(b, 3, ORIENTATIONS, TOKENS)
    return F.normalize(pooled, dim=2).reshape(b, -1, TOKENS).transpose(1, 2)


TARGETS: dict[str, Callable[[Tensor], Tensor]] = {"pixels": pixel_target, "hog": hog_target}


def segmentation_loss(logits: Tensor, masks: Tensor) -> Tensor:
    """Return binary cross-entropy plus the Dice loss of the batch's images."""
    chance = logits.sigmoid()
    overlap, total = (chance * masks).sum((1, 2)), chance.sum((1, 2)) + masks.sum((1, 2))
    return F.binary_cross_entropy_with_logits(logits, masks) + (1 - (2 * overlap + 1) / (total + 1)).mean()


def one_cycle(done: float, rise: float) -> float:
    """Return the share of the greatest learning rate after this share of the steps: linear rise, cosine fall."""
    return (done + 1e-3) / rise if done < rise else 0.5 * (1 + math.cos(math.pi * (done - rise) / (1 - rise)))


def optimizer(parts: Sequence[tuple[nn.Module, float]], betas: tuple[float, float]) -> torch.optim.Optimizer:
    """Return AdamW with a learning rate for each part; vectors have no weight decay."""
    groups: list[dict[str, Any]] = []
    for part, rate in parts:
        free = [p for p in part.parameters() if p.requires_grad]
        for decay, chosen in ((0.05, [p for p in free if p.ndim > 1]), (0.0, [p for p in free if p.ndim < 2])):
            groups.append({"params": chosen, "lr": rate, "most": rate, "weight_decay": decay})
    return torch.optim.AdamW(groups, betas=betas, fused=groups[0]["params"][0].is_cuda)


def update(adam: torch.optim.Optimizer, loss: Tensor, done: float, rise: float) -> None:
    """Take one step at the learning rate of this share of the steps."""
    for group in adam.param_groups:
        group["lr"] = group["most"] * one_cycle(done, rise)
    adam.zero_grad(set_to_none=True)
    loss.backward()
    adam.step()


def counts(predicted: Tensor, masks: Tensor) -> dict[str, list[Any]]:
    """Count true positives, false positives and false negatives of each image; Dice is 1 where both are empty."""
    found = ((predicted & masks), (predicted & ~masks), (~predicted & masks))
    tp, fp, fn = (part.sum((1, 2)).cpu().numpy() for part in found)
    total = 2 * tp + fp + fn
    dice = np.where(total > 0, 2 * tp / np.maximum(total, 1), 1.0).round(5)
    return {"tp": tp.tolist(), "fp": fp.tolist(), "fn": fn.tolist(), "dice": dice.tolist()}


def iou(row: dict[str, Any]) -> float:
    """Return the foreground IoU over the data set: sum TP / sum (TP + FP + FN)."""
    return sum(row["tp"]) / max(1, sum(row["tp"]) + sum(row["fp"]) + sum(row["fn"]))


def image_blind(masks: np.ndarray) -> np.ndarray:
    """Return the mask [h, w] that, pasted on every training image, has the greatest foreground IoU there."""
    here = masks.reshape(len(masks), -1).sum(0).astype(np.int64)
    order = np.argsort(-here, kind="stable")
    hits = np.cumsum(here[order])
    scores = hits / np.maximum(1, len(masks) * np.arange(1, len(here) + 1) + here.sum() - hits)
    last = np.append(here[order][1:] != here[order][:-1], True)  # only where a threshold can end
    return (here >= here[order][np.argmax(np.where(last, scores, -1))]).reshape(masks.shape[1:])


class Cells:
    """The finished cells, one JSON line each, written and flushed at once."""

    def __init__(self, path: Path) -> None:
        self.path, self.rows = path, {}
        content = path.read_bytes() if path.exists() else b""
        whole = content[: content.rfind(b"\n") + 1]
        if whole != content:  # a line that was cut off
            path.write_bytes(whole)
        for row in map(json.loads, whole.splitlines()):
            self.rows[self.key(row)] = row

    @staticmethod
    def key(row: dict[str, Any]) -> tuple[Any, ...]:
        """Return what names a cell."""
        return row["seed"], row["arm"], row["set"], row["head"]

    def add(self, row: dict[str, Any]) -> None:
        """Write a finished cell."""
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(row, separators=(",", ":")) + "\n")
            file.flush()
            os.fsync(file.fileno())
        self.rows[self.key(row)] = row

    def has(self, seed: int, arm: str, heads: Iterable[str]) -> bool:
        """Tell whether these heads of an arm are finished on all sets."""
        return all((seed, arm, name, head) in self.rows for name in SETS for head in heads)


class Study:
    """The networks, which are made and compiled once, the data, and the clock."""

    def __init__(self, pack: Path, out: Path, minutes: float, size: Size, compiled: bool | None = None) -> None:
        self.begun = time.perf_counter()
        self.size, self.out, self.seconds = size, out, 60 * minutes
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        torch.set_float32_matmul_precision("high")
        out.mkdir(parents=True, exist_ok=True)
        self.cells, self.pack = Cells(out / "cells.jsonl"), load_pack(pack, self.device)
        self.encoder = make_encoder(size).to(self.device)
        self.predictors = {r.outputs: Predictor(size, r.outputs).to(self.device) for r in RECIPES.values()}
        self.taps = sorted({math.ceil(size.depth * part / 4) for part in (1, 2, 3, 4)})
        self.states: dict[tuple[int, str], tuple[State, dict[str, Any]]] = {}
        self.starts: dict[int, State] = {}
        self.took: dict[str, float] = {}
        self.peak, self.images = 0.0, size.least_images
        self.fast = self.device.type == "cuda" if compiled is None else compiled
        if self.fast:
            self.compile()
        self.say(f"{len(self.pack.images)} images on {self.device}, torch {torch.__version__}, timm {timm.__version__}")

    def say(self, text: str) -> None:
        """Print a line with the time."""
        print(f"[{self.elapsed():6.1f} s] {text}", flush=True)

    def elapsed(self) -> float:
        """Return the seconds since the start, with all that was queued on the device."""
        if self.device.type == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter() - self.begun

    def compile(self) -> None:
        """Mark each block to be compiled; blocks of one shape share what is compiled."""
        try:
            import torch._dynamo as dynamo

            dynamo.config.recompile_limit = 64
            blocks = [*self.encoder.blocks, *(b for p in self.predictors.values() for b in p.blocks)]
            for block in blocks:
                block.compile(dynamic=False)
        except Exception as error:
            self.say(f"not compiled: {error!r:.300}")
            self.fast = False

    def attempt(self, work: Callable[[], T]) -> T:
        """Do the work; if it fails while blocks are compiled, do it again without."""
        try:
            return work()
        except Exception as error:
            if not self.fast:
                raise
            self.say(f"goes on without compiling, because of {error!r:.500}")
            self.fast = False
            return work()

    def through(self, blocks: Iterable[nn.Module], x: Tensor, fast: bool = True) -> Iterator[Tensor]:
        """Yield the tokens behind each block."""
        for block in blocks:
            x = block(x) if fast and self.fast else block.forward(x)
            yield x

    def autocast(self) -> torch.autocast:
        """Compute in bfloat16 on the GPU."""
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.device.type == "cuda")

    def on_device(self, rows: np.ndarray) -> Tensor:
        """Return row numbers as a tensor on the device."""
        return torch.as_tensor(rows, device=self.device).long()

    def random(self, *parts: object) -> torch.Generator:
        """Return a generator on the device that these parts seed; torch's own gets the same seed."""
        torch.manual_seed(number(*parts))
        return torch.Generator(self.device).manual_seed(number(*parts))

    def orders(self, n: int, length: int, random: torch.Generator) -> Tensor:
        """Return `length` places among n: permutations, one behind the other."""
        return torch.rand(-(-length // n), n, device=self.device, generator=random).argsort(1).flatten()[:length]

    def start(self, seed: int) -> State:
        """Return the encoder of step 0, which every arm of the seed starts from."""
        if seed not in self.starts:
            torch.manual_seed(number(seed, "start"))
            self.starts[seed] = {name: value.clone() for name, value in make_encoder(self.size).state_dict().items()}
        return self.starts[seed]

    def pretrain(self, rows: np.ndarray, seed: int, arm: str, recipe: Recipe, images: int) -> tuple[State, dict]:
        """Pre-train a masked autoencoder on these rows and return its encoder's state, and what is known of it."""
        first = self.start(seed)
        self.encoder.load_state_dict(first)
        random = self.random(seed, arm, "pretrain")
        predictor = self.predictors[recipe.outputs]
        predictor.load_state_dict(Predictor(self.size, recipe.outputs).state_dict())
        batch, steps = self.size.batch, max(1, images // self.size.batch)
        known = {"start": digest(self.encoder.state_dict()), "images": steps * batch, "rows": len(rows)}
        adam = optimizer([(self.encoder, 1e-3), (predictor, 1e-3)], (0.9, 0.95))
        order = self.on_device(rows)[self.orders(len(rows), steps * batch, random)]
        begun = self.elapsed()
        loss = torch.zeros((), device=self.device)
        for step in range(steps):
            chosen = self.pack.images[order[step * batch : (step + 1) * batch]]
            x = augmented(chosen, random_views(batch, 0.3, random), random)
            loss = self.masked_loss(x, recipe, predictor, random)
            update(adam, loss, step / steps, 0.1)
        known |= {"loss": round(loss.item(), 4), "pretrain_seconds": round(self.elapsed() - begun, 2)}
        if not math.isfinite(known["loss"]):
            self.say(f"seed {seed}, {arm}: the loss of pre-training is not finite")
        speed = steps * batch / max(1e-6, known["pretrain_seconds"])
        share = f", {100 * speed * self.work(recipe) / self.peak:.0f} % of the peak" if self.peak else ""
        self.say(f"seed {seed}, {arm}: pre-trained on {len(rows)} images, loss {known['loss']}, {speed:.0f}/s{share}")
        self.took["speed"] = speed
        return {name: value.clone() for name, value in self.encoder.state_dict().items()}, known

    def masked_loss(self, x: Tensor, recipe: Recipe, predictor: Predictor, random: torch.Generator) -> Tensor:
        """Encode the visible tokens, predict the hidden ones, and return the mean squared error of these."""
        target = TARGETS[recipe.target](x)
        order = torch.rand(len(x), TOKENS, device=self.device, generator=random).argsort(1).unsqueeze(2)
        shown, hidden = order[:, : recipe.kept], order[:, recipe.kept :]
        with self.autocast():
            tokens = self.encoder.patch_embed(x) + self.encoder.pos_embed
            for y in self.through(self.encoder.blocks, tokens.gather(1, shown.expand(-1, -1, self.size.width))):
                tokens = y
            y = predictor.embed(self.encoder.norm(tokens))
            width = self.size.decoder_width
            full = predictor.hidden.to(y.dtype).expand(len(x), TOKENS, width).scatter(1, shown.expand(-1, -1, width), y)
            full = full + predictor.places
            for y in self.through(predictor.blocks, full):
                full = y
            guess = predictor.out(predictor.norm(full.gather(1, hidden.expand(-1, -1, width))))
        return F.mse_loss(guess.float(), target.gather(1, hidden.expand(-1, -1, recipe.outputs)))

    def work(self, recipe: Recipe) -> float:
        """Return the floating-point operations of one image of pre-training, forward and backward."""
        size, kept = self.size, recipe.kept
        encode = size.depth * (24 * kept * size.width**2 + 4 * kept**2 * size.width)
        decode = size.decoder_depth * (24 * TOKENS * size.decoder_width**2 + 4 * TOKENS**2 * size.decoder_width)
        return 3.0 * (encode + decode + 2 * TOKENS * 3 * PATCH**2 * size.width)

    def features(self, x: Tensor, fast: bool) -> Tensor:
        """Return the normalised tokens behind a quarter, half, three quarters and all of the blocks, as maps."""
        tokens, found = (self.encoder.patch_embed(x) + self.encoder.pos_embed).contiguous(), []
        for i, y in enumerate(self.through(self.encoder.blocks, tokens, fast), 1):
            if i in self.taps:
                found.append(F.layer_norm(y, (self.size.width,)))
        return torch.cat(found, 2).transpose(1, 2).reshape(len(x), -1, GRID, GRID)

    def head(self, state: State, seed: int, name: str, head: str) -> dict[str, list[Any]]:
        """Train one head on one set, and count on the test images."""
        self.encoder.load_state_dict(state)
        rows = self.pack.rows[f"{seed}/{name}/train"]
        random = self.random(seed, name, head)  # the same for all arms: what is compared is paired
        decoder = Decoder(self.size.width * len(self.taps)).to(self.device)
        (self.probe if head == "probe" else self.fine)(decoder, rows[:FEW] if head == "fine100" else rows, head, random)
        test = self.pack.rows[f"{seed}/{name}/test"]
        with torch.no_grad(), self.autocast():
            parts = [decoder(self.features(x, fast=False)) > 0 for x in self.chunks(test)]
        return counts(torch.cat(parts)[: len(test)], self.pack.mask(test))

    def chunks(self, rows: np.ndarray) -> Iterator[Tensor]:
        """Yield scaled images in chunks of one size; rows from the start fill the last."""
        chunk = self.size.chunk
        filled = self.on_device(np.resize(rows, -(-len(rows) // chunk) * chunk))
        for part in filled.split(chunk):
            yield scaled(self.pack.images[part].float() / 255)

    def probe(self, decoder: Decoder, rows: np.ndarray, _: str, random: torch.Generator) -> None:
        """Train the decoder on cached features of the frozen encoder, of the images and of their mirror images."""
        kind = torch.bfloat16 if self.device.type == "cuda" else torch.float32
        with torch.no_grad(), self.autocast():
            plain = torch.cat([self.features(x, fast=False).to(kind) for x in self.chunks(rows)])[: len(rows)]
            mirror = torch.cat([self.features(x.flip(3), fast=False).to(kind) for x in self.chunks(rows)])[: len(rows)]
        masks = self.pack.mask(rows)
        x, masks = torch.cat([plain, mirror]), torch.cat([masks, masks.flip(2)])
        batch = min(self.size.probe_batch, len(x))
        steps = max(1, self.size.probe_epochs * len(x) // batch)
        order = self.orders(len(x), steps * batch, random)
        adam = optimizer([(decoder, 2e-3)], (0.9, 0.999))
        for step in range(steps):
            part = order[step * batch : (step + 1) * batch]
            with self.autocast():
                logits = decoder(x[part])
            update(adam, segmentation_loss(logits, masks[part].float()), step / steps, 0.2)

    def fine(self, decoder: Decoder, rows: np.ndarray, head: str, random: torch.Generator) -> None:
        """Train the encoder and the decoder end to end, with crops and flips."""
        batch = min(self.size.fine_batch, len(rows))
        epochs = self.size.few_epochs if head == "fine100" else self.size.fine_epochs
        steps = max(1, epochs * len(rows) // batch)
        order = self.orders(len(rows), steps * batch, random)
        images, masks = self.pack.images[self.on_device(rows)], self.pack.mask(rows)
        adam = optimizer([(self.encoder, 2e-4), (decoder, 1e-3)], (0.9, 0.999))
        for step in range(steps):
            part = order[step * batch : (step + 1) * batch]
            view = random_views(batch, 0.6, random)
            x, wanted = augmented(images[part], view, random), seen(masks[part, None].float(), view, "nearest")[:, 0]
            with self.autocast():
                logits = decoder(self.features(x, fast=True))
            update(adam, segmentation_loss(logits, wanted), step / steps, 0.2)

    def encoder_of(self, seed: int, arm: str, label: str, name: str) -> tuple[State, dict[str, Any]]:
        """Return the arm's encoder by the recipe `name`; it is pre-trained only once while this program runs."""
        if (seed, label) not in self.states:
            begun = self.elapsed()
            if arm == "step0":
                first = self.start(seed)
                known = {"start": digest(first), "images": 0, "rows": 0, "pretrain_seconds": 0.0}
            else:
                rows, recipe = self.pack.rows[f"{seed}/{arm}"], RECIPES[name]
                work = (rows, seed, arm, recipe, self.images * recipe.lengths)
                first, known = self.attempt(lambda: self.pretrain(*work))
                self.took["pretrain"] = self.elapsed() - begun
            self.states[seed, label] = first, {**known, "recipe": name, "encoder": digest(first)}
        return self.states[seed, label]

    def run_arm(self, seed: int, arm: str, heads: Sequence[str], name: str, label: str | None = None) -> None:
        """Pre-train an arm if needed and write each of its cells that is missing."""
        label = label or arm
        if self.cells.has(seed, label, heads):
            return
        state, known = self.encoder_of(seed, arm, label, name)
        begun, phases = self.elapsed(), []
        for set_name in SETS:
            for head in heads:
                if (seed, label, set_name, head) in self.cells.rows:
                    continue
                at = self.elapsed()
                work = (state, seed, set_name, head)
                found = self.attempt(lambda work=work: self.head(*work))
                seconds = round(self.elapsed() - at, 2)
                row = {"seed": seed, "arm": label, "set": set_name, "head": head, **known, "head_seconds": seconds}
                test = self.pack.rows[f"{seed}/{set_name}/test"].tolist()
                self.cells.add({**row, "iou": round(iou(found), 5), "test": test, **found})
                phases.append(f"{set_name} {head} {100 * iou(found):.1f} ({seconds:.1f} s)")
        self.took["+".join(heads)] = self.elapsed() - begun
        self.say(f"seed {seed}, {label}: " + ", ".join(phases))

    def references(self, seed: int) -> None:
        """Write what needs no network: the image-blind mask and all-foreground."""
        for name in SETS:
            train, test = (self.pack.rows[f"{seed}/{name}/{part}"] for part in ("train", "test"))
            blind = image_blind(self.pack.mask(train).cpu().numpy())
            for arm, mask in (("image_blind", blind), ("all_foreground", np.ones_like(blind))):
                if (seed, arm, name, "none") not in self.cells.rows:
                    masks = self.pack.mask(test)
                    found = counts(torch.from_numpy(mask).to(self.device).expand_as(masks), masks)
                    row = {"seed": seed, "arm": arm, "set": name, "head": "none", "iou": round(iou(found), 5)}
                    self.cells.add({**row, "test": test.tolist(), **found})

    def warm_up(self) -> None:
        """Measure the peak, compile, and measure the speed of pre-training; nothing of it is kept."""
        if self.device.type == "cuda":
            a = torch.randn(8192, 8192, device=self.device, dtype=torch.bfloat16)
            for _ in range(3):
                a @ a
            begun = self.elapsed()
            for _ in range(10):
                a @ a
            self.peak = 10 * 2 * 8192**3 / (self.elapsed() - begun)
            self.say(f"{torch.cuda.get_device_name()}: 8192^3 bf16 product at {self.peak / 1e12:.0f} TFLOP/s")
        rows, batch = self.pack.rows[f"{SEARCH_SEED}/all"], self.size.batch
        self.attempt(lambda: self.pretrain(rows, SEARCH_SEED, "warm-up", RECIPES["pixels75"], 4 * batch))
        steps = 40 if self.device.type == "cuda" else 1
        self.attempt(lambda: self.pretrain(rows, SEARCH_SEED, "warm-up", RECIPES["pixels75"], steps * batch))
        decoder = Decoder(self.size.width * len(self.taps)).to(self.device)
        few = self.pack.rows[f"{SEARCH_SEED}/{SETS[0]}/train"][: self.size.fine_batch]
        self.attempt(lambda: self.fine(decoder, few, "fine", self.random("warm-up")))
        self.say("warmed up")

    def choose(self) -> str | None:
        """Return the recipe with the greatest mean gain of all over step 0 on the search's seed, or None if late."""
        path = self.out / "recipe.json"
        if path.exists():
            known = json.loads(path.read_text(encoding="utf-8"))
            self.images, self.took = known["images"], {**self.took, **known["took"]}
            return known["recipe"]
        begun, tried = self.elapsed(), {}
        if begun >= self.seconds:
            return None
        self.run_arm(SEARCH_SEED, "step0", PRIMARY_HEADS, "")
        heads = self.took.get("+".join(PRIMARY_HEADS), 0.0)
        per_arm = (1 - SEARCH_SHARE - FINE_SHARE) * self.seconds / 18 - heads  # two seeds of nine arms
        speed = self.took["speed"]
        fits = int(per_arm * speed) // 10_000 * 10_000
        self.images = min(self.size.most_images, max(self.size.least_images, fits))
        for name, recipe in RECIPES.items():
            cost = self.images * recipe.lengths / speed * (TOKENS / (TOKENS - recipe.kept) * 0.75) + heads
            late = self.elapsed() - begun + cost > SEARCH_SHARE * self.seconds
            two_seeds = 2 * ((len(PRIMARY_ARMS) - 1) * cost + heads)
            dear = two_seeds > (1 - SEARCH_SHARE - FINE_SHARE) * self.seconds
            if (tried and (late or dear)) or self.elapsed() >= self.seconds:
                self.say(
                    f"recipe {name} is not tried: {cost:.0f} s an arm leave no two seeds"
                    if dear
                    else f"recipe {name} is not tried: {cost:.0f} s more are over the search's share"
                )
                continue
            label = f"all:{name}"
            self.run_arm(SEARCH_SEED, "all", PRIMARY_HEADS, name, label)
            cells = self.cells.rows
            gains = {
                f"{s} {h}": cells[SEARCH_SEED, label, s, h]["iou"] - cells[SEARCH_SEED, "step0", s, h]["iou"]
                for s in SETS
                for h in PRIMARY_HEADS
            }
            self.states.pop((SEARCH_SEED, label), None)
            took = {**self.took, "pretrain": self.took.get("pretrain", 0.0)}
            tried[name] = {"gain": float(np.mean(list(gains.values()))), "gains": gains, "took": took}
            self.say(f"recipe {name}: all - step 0 is {100 * tried[name]['gain']:+.2f} points in the mean")
        if not tried:
            return None
        best = max(tried, key=lambda name: tried[name]["gain"])
        self.took = dict(tried[best]["took"])
        known = {"recipe": best, "images": self.images, "took": self.took, "tried": tried}
        path.write_text(json.dumps(known, indent=1), encoding="utf-8")
        self.say(f"recipe {best}, {self.images * RECIPES[best].lengths} images an encoder")
        return best

    def run(self, first: int = 0) -> None:
        """Run the whole study until the time is over; with `first`, so many seeds get the primary arms before all."""
        self.warm_up()
        name = self.choose()
        known = {"torch": torch.__version__, "timm": timm.__version__, "peak": self.peak, "compiled": self.fast}
        known |= {"device": torch.cuda.get_device_name() if self.device.type == "cuda" else "cpu", "first": first}
        (self.out / "run.json").write_text(json.dumps({**known, "size": vars(self.size)}, indent=1), encoding="utf-8")
        if name is not None:
            heads = PRIMARY_HEADS
            tasks = [(seed, arm, heads) for seed in SEEDS[:first] for arm in PRIMARY_ARMS]
            tasks += [(seed, arm, heads) for seed in SEEDS for arm in ARMS if (seed, arm, heads) not in tasks]
            tasks = [task for task in tasks if f"{task[0]}/all" in self.pack.rows]
            self.work_off(tasks, name, (1 - FINE_SHARE) * self.seconds)
            done = [(seed, arm, ("fine",)) for seed, arm, _ in tasks if self.cells.has(seed, arm, heads)]
            self.work_off([task for task in done if task[1] in PRIMARY_ARMS], name, self.seconds)
        self.say("the end")
        print(table(self.cells.rows))

    def work_off(self, tasks: Sequence[tuple[int, str, Sequence[str]]], name: str, until: float) -> None:
        """Run one arm after the other while the next is expected to end in time."""
        failures = 0
        for seed, arm, heads in tasks:
            if self.cells.has(seed, arm, heads):
                continue
            made = arm == "step0" or (seed, arm) in self.states
            guess = 20.0 if self.size == FULL and "fine" in heads else 0.0
            expected = (0.0 if made else self.took.get("pretrain", 0.0)) + self.took.get("+".join(heads), guess)
            if self.elapsed() + expected > until:
                self.say(f"seed {seed}, {arm} {'+'.join(heads)}: {expected:.0f} s do not fit any more")
                return
            try:
                self.references(seed)
                self.run_arm(seed, arm, heads, name)
                failures = 0
            except Exception:
                failures += 1
                self.say(f"seed {seed}, {arm} failed:\n{traceback.format_exc()[-2000:]}")
                if failures == 3:
                    raise


def table(rows: dict[tuple[Any, ...], dict[str, Any]]) -> str:
    """Return the mean foreground IoU over the seeds, in %, and in brackets the gain over step 0 on the same seeds."""
    lines = []
    rows = {key: row for key, row in rows.items() if key[0] != SEARCH_SEED}
    for head in (*PRIMARY_HEADS, "fine", "none"):
        arms = [a for a in (*ARMS, "image_blind", "all_foreground") if any(k[1] == a and k[3] == head for k in rows)]
        lines += [f"{head:<16}" + "".join(f"{name:>22}" for name in SETS)] if arms else []
        for arm in arms:
            line = f"  {arm:<14}"
            for name in SETS:
                keys = [k for k in rows if k[1:] == (arm, name, head)]
                pairs = [(rows[k], rows.get((k[0], "step0", name, head))) for k in keys]
                mean = 100 * np.mean([iou(row) for row, _ in pairs]) if pairs else math.nan
                gains = [iou(row) - iou(base) for row, base in pairs if base is not None and arm != "step0"]
                gain = f" ({100 * np.mean(gains):+.1f})" if gains else ""
                line += f"{f'{mean:.1f}{gain} n={len(pairs)}':>22}"
            lines.append(line)
    return "\n".join(lines)


def main() -> None:
    """Read the command line and run the study."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pack", type=Path, required=True, help="folder that compendium.card_pack made")
    parser.add_argument("--out", type=Path, required=True, help="folder for the cells")
    parser.add_argument("--minutes", type=float, default=7, help="no arm is begun that would end later")
    parser.add_argument("--first", type=int, default=0, help="so many seeds get the primary arms before the others")
    parser.add_argument("--tiny", action="store_true", help="a tiny network and a few steps, for a try")
    parser.add_argument("--compile", choices=("auto", "on", "off"), default="auto", help="auto: on a GPU")
    wanted = parser.parse_args()
    compiled = {"auto": None, "on": True, "off": False}[wanted.compile]
    Study(wanted.pack, wanted.out, wanted.minutes, TINY if wanted.tiny else FULL, compiled).run(wanted.first)


if __name__ == "__main__":
    main()
