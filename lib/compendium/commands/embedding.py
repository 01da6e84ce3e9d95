"""``meddel embed``: a folder of images into a store of embeddings."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from compendium.commands.options import Scheduler, Workers


def embed(
    images: Annotated[Path, typer.Argument(help="Folder of images, searched through.")],
    out: Annotated[Path, typer.Option(help="Folder of the store that is written.")],
    model: Annotated[str, typer.Option(help="A plain ViT of timm.")] = "vit_base_patch16_224",
    weights: Annotated[Path | None, typer.Option(help="Weights file; none: from the hub.")] = None,
    batch: Annotated[int, typer.Option(min=1, help="Images at a time.")] = 64,
    scheduler: Scheduler = None,
    workers: Workers = None,
) -> None:
    """Embed a folder of images with a ViT (section 3.2): 768 numbers an image, into a store for `select`.

    Images that can't be read are listed in OUT/quarantine.csv. Interrupted, it goes on where it was.
    """
    import torch

    from compendium.commands import by_workers
    from meddel import encoder
    from meddel.embed import embed
    from meddel.images import index

    table = index.build_index(images, quarantine=out / "quarantine.csv")
    network, _ = encoder.hub(model, weights)
    if scheduler is not None or workers is not None:
        store = by_workers.embed(scheduler, workers, table, out, model=network, batch=batch)
    else:
        store = embed(table, out, model=network, batch=batch, device="cuda" if torch.cuda.is_available() else "cpu")
    print(f"{len(table)} images, {store.embeddings.shape[1]} numbers each: {out}")
