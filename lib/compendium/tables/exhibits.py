"""Tables 1, 2 and 4 of the paper, as printed or of a run, and the data sheet beside Table 1."""

from __future__ import annotations

import pandas as pd
import pyarrow as pa

from compendium import published
from compendium.tables.rendered import DASH, Rendered, comparison, percent, ratio_label, render
from datadel import manifest
from datadel.statistics import size_text


def table1(index: pa.Table | None = None) -> Rendered:
    """Render the data sets of the paper, or those that the INDEX of a run holds (section 3.1)."""
    columns = ["division", "data set", "task", "centres", "videos", "frames", "with mask"]
    rows: list[tuple[str, ...]] = []
    if index is None:
        table, names = published.table1(), {"pretraining": "pre-training", "downstream": "downstream test"}
        for row in table.itertuples():
            counts = map(_count, (row.medical_centers, row.videos, row.frames))
            rows.append((names[row.division], row.dataset, row.task, *counts))
        columns, note = columns[:-1], f"Transcribed from Table 1. Frames in total: {table.frames.sum():,}."
    else:
        table = index.select(["source", "centre", "video", "mask"]).to_pandas()
        for source, images in table.groupby("source", sort=True):
            masks = int(images["mask"].notna().sum())
            use, task = ("downstream", "segmentation") if masks else ("pre-training only", "pre-training")
            known = [images[column].nunique() or None for column in ("centre", "video")]
            rows.append((use, str(source), task, *map(_count, (*known, len(images), masks))))
        rows.sort(key=lambda row: (row[0] == "downstream", row[1]))
        note = f"Counted in the index of this run. Frames in total: {index.num_rows:,}."
    frame = pd.DataFrame(rows, columns=columns)
    return render(frame, name="table1", title="Table 1. Data sets", note=note, group="division")


def _count(value: int | None) -> str:
    return DASH if value is None or pd.isna(value) else f"{int(value):,}"


def table2(levels: pd.DataFrame | None = None) -> Rendered:
    """Render threshold, ratio and epochs at equal compute, of the paper or of a run (section 3.2).

    `levels` has the columns of `published.thresholds`.
    """
    table = published.thresholds() if levels is None else levels
    frame = pd.DataFrame(
        {
            "ratio": table.ratio.map(ratio_label),
            "threshold eta (cosine)": table.eta.map("{:.4g}".format),
            "images kept": table.images_kept.map("{:,.0f}".format),
            "exact ratio (%)": table.exact_ratio.map(percent),
            "pre-training epochs": table.pretraining_epochs.map("{:,.5g}".format),
            "images seen": table.images_seen.map("{:,.0f}".format),
        }
    )
    printed = "Transcribed from Table 2; exact ratio and images seen are computed from it."
    note = printed if levels is None else "Computed from the selection of this run."
    return render(frame, name="table2", title="Table 2. Threshold, ratio and epochs at equal compute", note=note)


def table4(results: pd.DataFrame | None = None) -> Rendered:
    """Render segmentation against the length of the pre-training, of the paper or of a run (section 4.4).

    `results` has dataset, ratio, pretraining_epochs and miou (fractions).
    """
    table = published.table4() if results is None else results
    wide = table.pivot(index=["ratio", "pretraining_epochs"], columns="dataset", values="miou")
    frame = wide[list(table.dataset.unique())].map(percent).rename_axis(columns=None).reset_index()
    frame.insert(0, "group", "retention ratio " + frame.pop("ratio").map(ratio_label))
    frame.insert(1, "pre-training epochs", frame.pop("pretraining_epochs").map("{:,.5g}".format))
    note = f"mIoU in %. {'Transcribed from Table 4.' if results is None else 'Computed in this run.'}"
    title = "Table 4. Segmentation after longer pre-training"
    return render(frame, name="table4", title=title, note=note, group="group")


def against_manifests() -> pd.DataFrame:
    """Return Table 1 beside the manifests, a row a set: images and centres, printed and as the set's source says."""
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
    """Render `against_manifests`."""
    table = against_manifests()
    known = table[table["source"].notna()]
    note = (
        f"Images; a dash where nobody says. Of {len(known)} sets whose source gives a number, "
        f"{(known['difference'] != 0).sum()} differ from the printed one."
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


def uses() -> Rendered:
    """Render what the licence of each set allows, and how to get the set; "unknown": not stated, or in conflict."""
    rows = [{"set": one.name, **one.uses, "access": one.access} for one in map(manifest.load, manifest.names())]
    table = pd.DataFrame(rows)
    free = (table["commercial"] == "yes").sum()
    known = (table[list(manifest.USES)] != "unknown").all(axis=1).sum()
    note = f"{free} of {len(table)} sets may be used for anything; {known} state their terms clearly."
    return comparison(table, name="uses", title="What the licences allow", note=note)


def doubts() -> Rendered:
    """Render what could not be verified of the sets, or where their sources disagree."""
    every = [(one.title, doubt) for one in map(manifest.load, manifest.names()) for doubt in one.doubts]
    return comparison(pd.DataFrame(every, columns=["set", "in doubt"]), name="doubts", title="In doubt", group="set")
