"""Profiles and typed parameters: what a run is made of, checked before it starts.

A *profile* is a named set of values: ``smoke`` proves in minutes that everything runs, ``laptop`` gives a result on two
cores, ``paper`` holds the settings that the paper prints (section 4.1) for a GPU. Unknown names are refused.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from meddel.errors import MedDELError

Keep = Literal["near", "far", "random"]
Method = Literal["mae", "simclr"]
Head = Literal["mlp", "probe"]
ProfileName = Literal["smoke", "laptop", "paper"]
M = TypeVar("M", bound=BaseModel)


class Config(BaseModel):
    """Base of all settings: immutable, and strict about names."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class EncoderConfig(Config):
    """A plain ViT (timm). `image_size` and `patch_size` in pixels."""

    image_size: int = Field(224, gt=0)
    patch_size: int = Field(16, gt=0)
    width: int = Field(768, gt=0)
    depth: int = Field(12, gt=0)
    heads: int = Field(12, gt=0)

    @model_validator(mode="after")
    def _divides(self) -> EncoderConfig:
        if self.image_size % self.patch_size:
            raise ValueError(f"image_size {self.image_size} is no multiple of patch_size {self.patch_size}")
        if self.width % self.heads:
            raise ValueError(f"width {self.width} is no multiple of heads {self.heads}")
        return self


class SelectConfig(Config):
    """MedDEL (section 3.2). `k` None means sqrt(n / 2), at least 1."""

    k: int | None = Field(None, gt=0)
    iterations: int = Field(50, gt=0)
    eps: float = Field(0.9, gt=0)
    keep: Keep = "near"


class PretrainConfig(Config):
    """Self-supervised pre-training (section 4.1).

    `images_seen` is the same at every ratio (Table 2: equal compute) unless `equal` is ``"epochs"``: then it is that of
    the whole pool and shrinks with the subset. `lr` is the peak rate; `warmup` and `mask_ratio` are shares.
    """

    method: Method = "mae"
    images_seen: int = Field(17_656_400, gt=0)
    equal: Literal["compute", "epochs"] = "compute"
    batch: int = Field(16, gt=0)
    lr: float = Field(1.5e-4, gt=0)
    weight_decay: float = Field(0.05, ge=0)
    warmup: float = Field(0.05, ge=0, lt=1)
    mask_ratio: float = Field(0.75, gt=0, lt=1)
    decoder_width: int = Field(512, gt=0)
    decoder_depth: int = Field(8, gt=0)
    temperature: float = Field(0.1, gt=0)
    checkpoint_seconds: float = Field(60.0, gt=0)


class SegmentConfig(Config):
    """Segmentation downstream (section 4.1).

    `labels` is the number of labelled training images (None: all). `shares` are those of the training, validation and
    test images where a set has no official split. `probe_*` belong to the frozen encoder's head. Scores are taken after
    every `evaluate_every`-th epoch and after the last.
    """

    heads: tuple[Head, ...] = ("mlp",)
    labels: int | None = Field(None, gt=0)
    shares: tuple[float, float, float] = (0.7, 0.1, 0.2)
    epochs: int = Field(200, gt=0)
    batch: int = Field(16, gt=0)
    lr: float = Field(1e-4, gt=0)
    layer_decay: float = Field(0.75, gt=0, le=1)
    weight_decay: float = Field(0.05, ge=0)
    hidden: int = Field(256, gt=0)
    probe_epochs: int = Field(100, gt=0)
    probe_lr: float = Field(1e-3, gt=0)
    evaluate_every: int = Field(1, gt=0)


class SyntheticConfig(Config):
    """Size of the generated data: frames per pre-training source, images per segmentation set, pixels per side."""

    frames_per_source: int = Field(240, gt=0)
    images_per_set: int = Field(120, gt=0)
    size: int = Field(128, ge=32)
    video_length: int = Field(30, gt=1)


class Profile(Config):
    """All settings of a run.

    `ratios` are the retention ratios R (fractions) below 1 that are selected for by `selectors`; `seeds` is how many.
    For the first `tuned_seeds` of them (None: all) the encoder is fine-tuned as well as probed. `compute_shares` are
    the shorter pre-trainings of Table 4. `pool_downstream_train` adds the downstream sets' training images, without
    their masks, to the pool. `embedder` is whose features select: the encoder that this run pre-trains on the whole
    pool (``own``, no download), or the hub's ViT-Base (``hub``). `threads` is how many an encoder is pre-trained and
    read with on a processor (None: all); with a number a seed gives the same scores on any number of cores and workers.
    """

    name: ProfileName
    ratios: tuple[float, ...]
    selectors: tuple[str, ...] = ("random", "meddel")
    seeds: int = Field(gt=0)
    tuned_seeds: int | None = Field(None, ge=0)
    compute_shares: tuple[float, ...] = (0.5,)
    pool_downstream_train: bool = True
    embedder: Literal["own", "hub"] = "own"
    threads: int | None = Field(None, gt=0)
    encoder: EncoderConfig = EncoderConfig()
    select: SelectConfig = SelectConfig()
    pretrain: PretrainConfig = PretrainConfig()
    segment: SegmentConfig = SegmentConfig()
    synthetic: SyntheticConfig = SyntheticConfig()

    @model_validator(mode="after")
    def _ratios(self) -> Profile:
        for ratio in (*self.ratios, *self.compute_shares):
            check_ratio(ratio)
        return self


def check_ratio(ratio: float) -> float:
    """Return the retention ratio, a fraction in (0, 1], or refuse it."""
    if not 0 < ratio <= 1:
        raise MedDELError(f"retention ratio {ratio} is outside (0, 1]", fix="give the share to keep, such as 0.05")
    return float(ratio)


_PROFILES: dict[str, dict[str, Any]] = {
    "smoke": {
        "ratios": (0.05, 0.2),
        "seeds": 2,
        "threads": 1,
        "encoder": {"image_size": 64, "patch_size": 8, "width": 96, "depth": 3, "heads": 3},
        "pretrain": {
            "method": "mae", "images_seen": 6_400, "batch": 32, "lr": 1e-3, "decoder_width": 64, "decoder_depth": 1,
        },
        "segment": {
            "heads": ("mlp", "probe"), "labels": 80, "epochs": 16, "batch": 8, "lr": 1e-3, "hidden": 128,
            "probe_epochs": 60, "evaluate_every": 4,
        },
        "synthetic": {"frames_per_source": 240, "images_per_set": 120, "size": 128},
    },
    "laptop": {
        "ratios": (0.05, 0.2),
        "selectors": ("random", "meddel", "meddel-far", "k-center", "hierarchical"),
        "seeds": 3,
        "tuned_seeds": 3,
        "threads": 1,
        "encoder": {"image_size": 64, "patch_size": 8, "width": 128, "depth": 6, "heads": 4},
        "pretrain": {
            "method": "mae", "images_seen": 120_000, "batch": 16, "lr": 7e-4, "decoder_width": 64, "decoder_depth": 2,
        },
        "segment": {
            "heads": ("mlp", "probe"), "labels": 200, "epochs": 20, "batch": 16, "lr": 1e-3, "hidden": 256,
            "probe_epochs": 40, "evaluate_every": 4,
        },
        "synthetic": {"frames_per_source": 1500, "images_per_set": 400, "size": 128},
    },
    "paper": {
        "ratios": (0.05, 0.1, 0.2, 0.33, 0.5),
        "seeds": 1,
        "compute_shares": (0.2, 0.5),
        "pool_downstream_train": False,
        "embedder": "hub",
    },
}  # fmt: skip


def profile(name: str, **changes: Any) -> Profile:
    """Return the profile `name` with top-level settings replaced by `changes`; unknown names are refused."""
    if name not in _PROFILES:
        raise MedDELError(f"unknown profile {name!r}", fix=f"choose one of {', '.join(_PROFILES)}")
    return validated(Profile, {"name": name, **_PROFILES[name], **changes})


def validated(model: type[M], values: dict[str, Any]) -> M:
    """Build `model` from `values`, turning pydantic's report into one line."""
    try:
        return model(**values)
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(str(part) for part in first["loc"]) or model.__name__
        raise MedDELError(f"{name}: {first['msg']}", fix=f"see the fields of {model.__name__}") from error


class Run(Config):
    """One run: a profile, the folder of its data, the folder that it writes to, and the device it computes on.

    `generated` says that `data` are generated, and not the user's. `seed` is the first of the profile's seeds.
    """

    profile: Profile
    seed: int = Field(0, ge=0)
    data: Path
    generated: bool = False
    out: Path = Path("out")
    device: str = "cpu"

    @property
    def seeds(self) -> tuple[int, ...]:
        """The seeds of the run's repetitions."""
        return tuple(range(self.seed, self.seed + self.profile.seeds))


def run(
    profile_name: str = "smoke",
    *,
    seed: int = 0,
    seeds: int = 0,
    data: str | Path | None = None,
    out: str | Path = "out",
) -> Run:
    """Return the run for a profile; it computes on a GPU if torch sees one.

    Parameters
    ----------
    profile_name : str
        Name of the profile.
    seed, seeds : int
        First seed; number of seeds, 0 for the profile's.
    data : path, optional
        Folder of images; without one the run's data are generated, in ``out/data``.
    out : path
        Folder for all that the run makes; not inside `data`.

    Raises
    ------
    MedDELError
        An unknown profile, a negative seed, or a folder that can't be used.
    """
    folder = Path(data).expanduser() if data else None
    if folder is not None and not folder.is_dir():
        raise MedDELError("no such folder", folder, "give the folder that holds your images")
    if folder is not None and Path(out).resolve().is_relative_to(folder.resolve()):
        raise MedDELError("the output folder is inside the data folder", out, "give another --out folder")
    import torch  # here, because it takes seconds and only a run asks for a device

    values = {
        "profile": profile(profile_name, **({"seeds": seeds} if seeds else {})),
        "seed": seed,
        "data": Path(out) / "data" if folder is None else folder,
        "generated": folder is None,
        "out": Path(out),
        "device": "cuda" if torch.cuda.is_available() else "cpu",
    }
    return validated(Run, values)
