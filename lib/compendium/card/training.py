"""The trainings of the study on one GPU: of an encoder on an arm's images, and of the heads that segment with it."""

from __future__ import annotations

import hashlib
import io
import math
import os
import time
import zlib
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import timm
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, nn

from compendium.card import networks
from compendium.card.networks import GRID, RECIPES, SIDE, TOKENS, Recipe, Size
from compendium.card.score import counts

State = dict[str, Tensor]
FEW = 100


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


def digest(state: State) -> str:
    """Return the SHA-256 of all tensors' bytes."""
    found = hashlib.sha256()
    for name in sorted(state):
        found.update(name.encode() + state[name].detach().cpu().contiguous().numpy().tobytes())
    return found.hexdigest()


class Training:
    """The networks, made and compiled once, the data, and how encoders and heads are trained."""

    def __init__(self, pack: Path, size: Size) -> None:
        self.begun = time.perf_counter()
        self.size, self.speed = size, 0.0
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        torch.set_float32_matmul_precision("high")
        self.pack = load_pack(pack, self.device)
        self.encoder = networks.make_encoder(size).to(self.device)
        self.predictors = {
            n: networks.Predictor(size, n).to(self.device) for n in {r.outputs for r in RECIPES.values()}
        }
        self.taps = sorted({math.ceil(size.depth * part / 4) for part in (1, 2, 3, 4)})
        self.starts: dict[int, State] = {}
        if self.device.type == "cuda":  # blocks of one shape share what is compiled
            from torch._dynamo import config

            config.recompile_limit = 64
            for block in (*self.encoder.blocks, *(b for p in self.predictors.values() for b in p.blocks)):
                block.compile(dynamic=False)
        self.say(f"{len(self.pack.images)} images on {self.device}, torch {torch.__version__}, timm {timm.__version__}")

    def say(self, text: str) -> None:
        """Print a line with the time."""
        print(f"[{self.elapsed():6.1f} s] {text}", flush=True)

    def elapsed(self) -> float:
        """Return the seconds since the start, with all that was queued on the device."""
        if self.device.type == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter() - self.begun

    def through(self, blocks: Iterable[nn.Module], x: Tensor, fast: bool = True) -> Iterator[Tensor]:
        """Yield the tokens behind each block; compiled only where `fast`, for shapes that come often."""
        for block in blocks:
            x = block(x) if fast else block.forward(x)
            yield x

    def autocast(self) -> torch.autocast:
        """Compute in bfloat16 on the GPU."""
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.device.type == "cuda")

    def on_device(self, rows: np.ndarray) -> Tensor:
        """Return row numbers as a tensor on the device."""
        return torch.as_tensor(rows, device=self.device).long()

    def random(self, *parts: object) -> torch.Generator:
        """Return a generator on the device that these parts seed; torch's own gets the same seed."""
        seed = zlib.crc32(repr(parts).encode())
        torch.manual_seed(seed)
        return torch.Generator(self.device).manual_seed(seed)

    def orders(self, n: int, length: int, random: torch.Generator) -> Tensor:
        """Return `length` places among n: permutations, one behind the other."""
        return torch.rand(-(-length // n), n, device=self.device, generator=random).argsort(1).flatten()[:length]

    def start(self, seed: int) -> State:
        """Return the encoder of step 0, which every arm of the seed starts from."""
        if seed not in self.starts:
            self.random(seed, "start")
            encoder = networks.make_encoder(self.size)
            self.starts[seed] = {name: value.clone() for name, value in encoder.state_dict().items()}
        return self.starts[seed]

    def pretrain(self, rows: np.ndarray, seed: int, arm: str, recipe: Recipe, images: int) -> tuple[State, dict]:
        """Pre-train a masked autoencoder on these rows and return its encoder's state, and what is known of it."""
        self.encoder.load_state_dict(self.start(seed))
        random = self.random(seed, arm, "pretrain")
        predictor = self.predictors[recipe.outputs]
        predictor.load_state_dict(networks.Predictor(self.size, recipe.outputs).state_dict())
        batch, steps = self.size.batch, max(1, images // self.size.batch)
        known = {"start": digest(self.encoder.state_dict()), "images": steps * batch, "rows": len(rows)}
        adam = networks.optimizer([(self.encoder, 1e-3), (predictor, 1e-3)], (0.9, 0.95))
        order = self.on_device(rows)[self.orders(len(rows), steps * batch, random)]
        begun = self.elapsed()
        for step in range(steps):
            chosen = self.pack.images[order[step * batch : (step + 1) * batch]]
            x = networks.augmented(chosen, networks.random_views(batch, 0.3, random), random)
            loss = self.masked_loss(x, recipe, predictor, random)
            networks.update(adam, loss, step / steps, 0.1)
        known |= {"loss": round(loss.item(), 4), "pretrain_seconds": round(self.elapsed() - begun, 2)}
        self.speed = steps * batch / max(1e-6, known["pretrain_seconds"])
        self.say(f"seed {seed}, {arm}: pre-trained on {len(rows)} images, loss {known['loss']}, {self.speed:.0f}/s")
        return {name: value.clone() for name, value in self.encoder.state_dict().items()}, known

    def masked_loss(self, x: Tensor, recipe: Recipe, predictor: nn.Module, random: torch.Generator) -> Tensor:
        """Encode the visible tokens, predict the hidden ones, and return the mean squared error of these."""
        target = networks.TARGETS[recipe.target](x)
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
        rows, test = (self.pack.rows[f"{seed}/{name}/{part}"] for part in ("train", "test"))
        random = self.random(seed, name, head)  # the same for all arms: what is compared is paired
        decoder = self.decoder()
        if head == "probe":
            self.probe(decoder, rows, random)
        elif head == "fine100":
            self.fine(decoder, rows[:FEW], self.size.few_epochs, random)
        else:
            self.fine(decoder, rows, self.size.fine_epochs, random)
        with torch.no_grad(), self.autocast():
            parts = [decoder(self.features(x, fast=False)) > 0 for x in self.chunks(test)]
        return counts(torch.cat(parts)[: len(test)], self.pack.mask(test))

    def decoder(self) -> networks.Decoder:
        """Make a new decoder for the features."""
        return networks.Decoder(self.size.width * len(self.taps)).to(self.device)

    def chunks(self, rows: np.ndarray) -> Iterator[Tensor]:
        """Yield scaled images in chunks of one size; rows from the start fill the last."""
        chunk = self.size.chunk
        filled = self.on_device(np.resize(rows, -(-len(rows) // chunk) * chunk))
        for part in filled.split(chunk):
            yield networks.scaled(self.pack.images[part].float() / 255)

    def probe(self, decoder: nn.Module, rows: np.ndarray, random: torch.Generator) -> None:
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
        adam = networks.optimizer([(decoder, 2e-3)], (0.9, 0.999))
        for step in range(steps):
            part = order[step * batch : (step + 1) * batch]
            with self.autocast():
                logits = decoder(x[part])
            networks.update(adam, networks.segmentation_loss(logits, masks[part].float()), step / steps, 0.2)

    def fine(self, decoder: nn.Module, rows: np.ndarray, epochs: int, random: torch.Generator) -> None:
        """Train the encoder and the decoder end to end, with crops and flips."""
        batch = min(self.size.fine_batch, len(rows))
        steps = max(1, epochs * len(rows) // batch)
        order = self.orders(len(rows), steps * batch, random)
        images, masks = self.pack.images[self.on_device(rows)], self.pack.mask(rows)
        adam = networks.optimizer([(self.encoder, 2e-4), (decoder, 1e-3)], (0.9, 0.999))
        for step in range(steps):
            part = order[step * batch : (step + 1) * batch]
            view = networks.random_views(batch, 0.6, random)
            x = networks.augmented(images[part], view, random)
            wanted = networks.seen(masks[part, None].float(), view, "nearest")[:, 0]
            with self.autocast():
                logits = decoder(self.features(x, fast=True))
            networks.update(adam, networks.segmentation_loss(logits, wanted), step / steps, 0.2)
