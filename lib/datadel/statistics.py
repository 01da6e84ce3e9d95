"""Describe what exists of each set: status, counts, sizes, resolutions, centres and licences."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pyarrow.compute as pc

from datadel import cache
from datadel.fetch import amount
from datadel.manifest import Manifest
from meddel.images.index import read_index


def size_text(manifest: Manifest) -> str:
    """Return the archives' gigabytes; ``~`` where a page rounds them, ``+`` where some are not stated."""
    known = [archive.size for archive in manifest.archives if archive.size is not None]
    if not known:
        return "not stated" if manifest.archives else "nothing to fetch"
    rounded = "~" if any(archive.approximate for archive in manifest.archives) else ""
    more = "+" if len(known) < len(manifest.archives) else ""
    return f"{rounded}{sum(known) / 1e9:.2f} GB{more}"


def listed(manifest: Manifest) -> dict[str, object]:
    """Return a set's row of `meddel data list`."""
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
    if cache.prepared(manifest.name).is_dir():
        return "prepared"
    if cache.extracted(manifest.name).is_dir():
        return "unpacked"
    states = [file.status for file in cache.cached(manifest)]
    if states and set(states) == {"fetched"}:
        return "fetched"
    return f"{states.count('fetched')} of {len(states)} archives" if set(states) - {"missing"} else "missing"


def explained(manifest: Manifest) -> str:
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
    for archive, state, here in cache.cached(manifest):
        size = "size not stated" if archive.size is None else amount(archive.size, archive.approximate)
        lines.append(f"archive: {archive.name}, {size}: {state}" + f", {amount(here)} here" * (state == "partial"))
    lines.append(f"here: {status(manifest)}, in {cache.archives(manifest.name).parent}")
    if (cache.prepared(manifest.name) / "index.parquet").is_file():
        lines.append(f"prepared: {counted(manifest)}, in {cache.prepared(manifest.name)}")
    return "\n".join(lines)


def counted(manifest: Manifest) -> str:
    """Return what a prepared set holds beside what its source says: images, masks, videos, centres, splits, sizes."""
    folder = cache.prepared(manifest.name)
    table = read_index(folder / "index.parquet", folder)
    sizes = Counter(zip(table["width"].to_pylist(), table["height"].to_pylist(), strict=True))
    splits = [f"{row['counts']} {row['values']}" for row in table["split"].drop_null().value_counts().to_pylist()]
    stored = sum(Path(path).stat().st_size for path in table["path"].to_pylist())
    (width, height), _ = sizes.most_common(1)[0]
    counts = [
        f"{table.num_rows} images (the source says {manifest.images})",
        f"{table.num_rows - table['mask'].null_count} with a mask",
        *(f"{pc.count_distinct(table[name]).as_py()} {name}s" for name in ("video", "centre")),
        *splits,
        f"{len(sizes)} resolutions, most {width} x {height}",
        amount(stored),
    ]
    return ", ".join(counts)
