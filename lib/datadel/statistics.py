"""What there is of each set: status, counts, sizes, resolutions, centres and licences, as tables."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from datadel import cache
from datadel.fetching.fetch import amount
from datadel.manifest import Manifest

GIGABYTE = 1e9


def size_text(manifest: Manifest) -> str:
    """Return the archives' gigabytes; ``~`` where a page rounds them, ``+`` where some are not stated."""
    known = [archive.size for archive in manifest.archives if archive.size is not None]
    if not known:
        return "not stated" if manifest.archives else "nothing to fetch"
    rounded = "~" if any(archive.approximate for archive in manifest.archives) else ""
    more = "+" if len(known) < len(manifest.archives) else ""
    return f"{rounded}{sum(known) / GIGABYTE:.2f} GB{more}"


def described(manifest: Manifest, table: pa.Table) -> dict[str, object]:
    """Return what an index holds beside what the set's source says.

    Parameters
    ----------
    manifest : Manifest
    table : pa.Table
        `meddel.images.index.INDEX_SCHEMA`.

    Returns
    -------
    dict
        One row for `stats`; sizes are bytes of the image files, resolutions pixels.
    """
    sizes = (
        pd.Series(table["width"].to_pylist()).astype(str) + " x " + pd.Series(table["height"].to_pylist()).astype(str)
    )
    most = sizes.mode().iat[0] if len(sizes) else ""
    stored = sum(Path(path).stat().st_size for path in table["path"].to_pylist())
    return {
        "set": manifest.name,
        "images": table.num_rows,
        "source says": manifest.images,
        "with mask": table.num_rows - table["mask"].null_count,
        "videos": pc.count_distinct(table["video"]).as_py() or None,
        "centres": pc.count_distinct(table["centre"]).as_py() or manifest.centres,
        "splits": " ".join(
            f"{value['values']} {value['counts']}" for value in table["split"].drop_null().value_counts().to_pylist()
        ),
        "resolutions": sizes.nunique(),
        "most are": most,
        "GB": round(stored / GIGABYTE, 3),
        "licence": manifest.licence,
    }


def listed(manifest: Manifest) -> dict[str, object]:
    """Return a set's row of the list of all sets."""
    return {
        "set": manifest.name,
        "Table 1": manifest.paper_name or "",
        "for": manifest.division,
        "shows": manifest.modality,
        "images": "" if manifest.images is None else f"{manifest.images:,}",
        "access": manifest.access,
        "size": size_text(manifest),
        "here": status(manifest),
    }


def status(manifest: Manifest) -> str:
    """Return how far a set has come: missing, partly fetched, fetched, unpacked or prepared."""
    state = cache.state(manifest)
    if state.prepared:
        return "prepared"
    if state.extracted:
        return "unpacked"
    fetched = sum(held.status == "fetched" for held in state.archives)
    if fetched and fetched == len(state.archives):
        return "fetched"
    begun = fetched or any(held.status == "partial" for held in state.archives)
    return f"{fetched} of {len(state.archives)} archives" if begun else "missing"


def told(manifest: Manifest) -> str:
    """Return in lines what is known of a set, what is in doubt, and what is here of each archive."""
    uses = ", ".join(f"{use}: {permission}" for use, permission in manifest.uses.items())
    lines = [
        f"{manifest.name}: {manifest.title}",
        manifest.description,
        f"licence: {manifest.licence} ({uses})",
        f"access: {manifest.access}. {manifest.how}",
        f"page: {manifest.landing}",
        *(f"in doubt: {doubt}" for doubt in manifest.doubts),
    ]
    for held in cache.state(manifest).archives:
        size = "size not stated" if held.archive.size is None else amount(held.archive.size, held.archive.approximate)
        here = f", {amount(held.size)} here" if held.status == "partial" else ""
        lines.append(f"archive: {held.archive.name}, {size}: {held.status}{here}")
    return "\n".join([*lines, f"here: {status(manifest)}, in {cache.archives(manifest.name).parent}"])
