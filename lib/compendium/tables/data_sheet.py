"""The data sheet: Table 1 as printed beside what the sets' sources say, and what is known of each set (section 3.1)."""

from __future__ import annotations

import pandas as pd

from compendium import published
from compendium.tables.comparison import comparison
from compendium.tables.rendered import Rendered
from datadel import manifest
from datadel.statistics import size_text


def frame() -> pd.DataFrame:
    """Return Table 1 beside the manifests: images and centres, printed and as the source says; missing where not known.

    Returns
    -------
    DataFrame
        A row for each set of Table 1, in its order: ``division, set, printed, source, difference, centres printed,
        centres source, access, licence``.
    """
    by_paper_name = {one.paper_name: one for one in map(manifest.load, manifest.names()) if one.paper_name}
    rows = []
    for row in published.table1().itertuples():
        one = by_paper_name[row.dataset]
        rows.append({
            "division": one.division, "set": row.dataset, "printed": row.frames, "source": one.images,
            "difference": None if one.images is None else int(row.frames) - one.images,
            "centres printed": row.medical_centers, "centres source": one.centres,
            "access": one.access, "licence": one.licence,
        })  # fmt: skip
    return pd.DataFrame(rows).convert_dtypes()


def data_sheet() -> Rendered:
    """Render `frame`: Table 1 as printed beside what the sets' own sources say."""
    table = frame()
    known = table[table["source"].notna()]
    differing = int((known["difference"] != 0).sum())
    note = (
        f"Images; a dash where nobody says. Of {len(known)} sets whose source gives a number, {differing} differ from "
        f"the printed one."
    )
    return comparison(table, name="data_sheet", title="Table 1 and the manifests", note=note, group="division")


def beyond() -> Rendered:
    """Render the sets beyond Table 1: what they show, how many images and frames, size, access and licence."""
    rows = [
        {
            "set": one.title, "shows": one.modality, "images": one.images, "videos": one.videos, "frames": one.frames,
            "size": size_text(one), "access": one.access, "licence": one.licence,
        }
        for one in map(manifest.load, manifest.names()) if one.division == "beyond"
    ]  # fmt: skip
    table = pd.DataFrame(rows).convert_dtypes()
    return comparison(table, name="beyond", title="Sets beyond Table 1", note="Frames are those inside the videos.")


def doubts() -> Rendered:
    """Render what could not be verified of the sets, or where their sources disagree."""
    rows = [
        {"set": one.title, "in doubt": doubt} for one in map(manifest.load, manifest.names()) for doubt in one.doubts
    ]
    return comparison(pd.DataFrame(rows), name="doubts", title="In doubt", group="set")
