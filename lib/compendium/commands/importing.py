"""``meddel import``: a store of embeddings that somebody has already."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def import_embeddings(
    source: Annotated[Path, typer.Argument(help="A .npy, .npz, .safetensors, .parquet, .faiss or .zarr of yours.")],
    out: Annotated[Path, typer.Option(help="Folder of the store that is written.")],
    array: Annotated[str | None, typer.Option(help="Which array or column, where there are several.")] = None,
    model: Annotated[str | None, typer.Option(help="What made the embeddings; none: the file's name.")] = None,
    index: Annotated[
        Path | None, typer.Option(help="Parquet index with a row for each embedding, in their order; none: numbered.")
    ] = None,
) -> None:
    """Make a store for `select` of embeddings that you have already, a row an image.

    Nothing in the file is run. Interrupted, it goes on where it was.
    """
    from meddel.images.index import read_index
    from meddel.store import import_from

    rows = None if index is None else read_index(index)
    store = import_from(source, out, array=array, model=model, index=rows)
    print(f"{store.rows} embeddings, {store.dim} numbers each: {out}")
