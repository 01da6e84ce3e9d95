"""What DataDEL knows of a data set: its Croissant manifest (MLCommons, version 1.1), read into plain fields.

``data_manifests/datadel.json`` names the sets, in the order of Table 1 and beyond; ``datadel/<name>.json`` beside it
describes each. What Croissant has no word for stands under ``del:``: the paper's name of the set, access, counts, what
a person may do with it, and what is in doubt.
"""

from __future__ import annotations

import difflib
import functools
import re
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict

from meddel import manifests
from meddel.errors import MedDELError

Access = Literal["open", "form", "account", "request", "none"]
Division = Literal["pre-training", "downstream", "beyond"]
Permission = Literal["yes", "no", "ask", "unknown"]

USES = ("research", "commercial", "redistribution")
_UNITS = {"B": 1, "kB": 1e3, "MB": 1e6, "GB": 1e9, "TB": 1e12}


def _plain(name: str) -> str:
    """Return what names a file or folder of the cache, and leads nowhere else."""
    if name in ("", ".", "..") or any(sign in name for sign in "/\\\0"):
        raise ValueError(f"{name!r} is no plain name")
    return name


Name = Annotated[str, AfterValidator(_plain)]


class Archive(BaseModel):
    """A file that has to be fetched.

    Attributes
    ----------
    name : str
        Its file name.
    urls : tuple of str
        Where it lies, in order of preference; empty where only a person can get it, by a form or an account.
    size : int or None
        Bytes; `approximate` tells that it is a rounded figure of a page.
    sha256, md5 : str or None
        As published; both None where nobody publishes one.
    """

    model_config = ConfigDict(frozen=True)

    name: Name
    urls: tuple[str, ...]
    size: int | None
    approximate: bool
    sha256: str | None
    md5: str | None


class Manifest(BaseModel):
    """A data set.

    Attributes
    ----------
    name : str
        As it is called on the command line.
    title, description, citation, licence : str
        `citation` is BibTeX; `licence` a URL, or what the source says.
    landing : str
        The set's own page.
    paper_name : str or None
        As Table 1 has it; None for sets beyond it.
    access, how : str
        Who may fetch it, and what a person has to do.
    uses : dict
        For each of `USES` whether the licence allows it.
    images, videos, frames, centres : int or None
        What the source counts: pictures, recordings, pictures inside the recordings, hospitals.
    doubts : tuple of str
        What could not be verified, or where sources disagree.
    archives : tuple of Archive
        What there is to fetch.
    jsonld : dict
        The whole manifest, for what reads its record sets.
    """

    model_config = ConfigDict(frozen=True)

    name: Name
    title: str
    description: str
    citation: str
    licence: str
    landing: str
    paper_name: str | None
    division: Division
    modality: str
    access: Access
    how: str
    uses: dict[str, Permission]
    images: int | None
    videos: int | None
    frames: int | None
    centres: int | None
    doubts: tuple[str, ...]
    archives: tuple[Archive, ...]
    jsonld: dict[str, Any]


def names() -> tuple[str, ...]:
    """Return the names of all sets, those of Table 1 first."""
    return tuple(part["name"] for part in manifests.read_json("datadel.json")["hasPart"])


@functools.cache
def load(name: str) -> Manifest:
    """Return the manifest of a set.

    Raises
    ------
    MedDELError
        There is no set of this name.
    """
    if name not in names():
        near = difflib.get_close_matches(name.lower().replace("_", "-"), names(), 1, 0.5)
        fix = f"did you mean {near[0]}? " if near else ""
        raise MedDELError(f"no data set is called {name!r}", fix=f"{fix}meddel data list shows all")
    return of_jsonld(manifests.read_json(f"datadel/{name}.json"))


def of_jsonld(jsonld: dict[str, Any]) -> Manifest:
    """Return the plain fields of a Croissant manifest.

    Raises
    ------
    MedDELError
        A field is missing or of another kind, or a name would lead out of the cache.
    """
    try:
        return _read(jsonld)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        said = str(error).splitlines()
        name = jsonld.get("name") if isinstance(jsonld, dict) else None
        raise MedDELError(f"no manifest of a data set: {' '.join(said[:3])}", name, "mend it") from error


def _read(jsonld: dict[str, Any]) -> Manifest:
    return Manifest(
        name=jsonld["name"],
        title=jsonld["alternateName"],
        description=jsonld["description"],
        citation=jsonld["citeAs"],
        licence=jsonld["license"],
        landing=jsonld["url"],
        paper_name=jsonld.get("del:paperName"),
        division=jsonld["del:division"],
        modality=jsonld["del:modality"],
        access=jsonld["del:access"],
        how=jsonld["conditionsOfAccess"],
        uses={use: jsonld["del:uses"][use] for use in USES},
        **{count: jsonld.get(f"del:{count}") for count in ("images", "videos", "frames", "centres")},
        doubts=tuple(jsonld.get("del:doubts", ())),
        archives=tuple(_archives(jsonld)),
        jsonld=jsonld,
    )


def _archives(jsonld: dict[str, Any]) -> list[Archive]:
    found = []
    for entry in jsonld["distribution"]:
        if entry["@type"] != "cr:FileObject" or "containedIn" in entry:
            continue
        urls = [entry["contentUrl"], *entry.get("sameAs", ())]
        size, approximate = size_of(entry.get("contentSize"))
        found.append(
            Archive(
                name=entry["name"],
                urls=tuple(url for url in urls if url != jsonld["url"]),
                size=size,
                approximate=approximate,
                sha256=entry.get("sha256"),
                md5=entry.get("md5"),
            )
        )
    return found


def size_of(text: str | None) -> tuple[int | None, bool]:
    """Return the bytes that a ``contentSize`` such as ``"46227172 B"`` or ``"3.9 GB"`` states, and if it is rounded."""
    if text is None:
        return None, False
    matched = re.fullmatch(r"([\d.]+) ?([kMGT]?B)", text)
    if matched is None:
        raise ValueError(f"contentSize {text!r} is not a number and B, kB, MB, GB or TB")
    return round(float(matched[1]) * _UNITS[matched[2]]), matched[2] != "B"
