"""Read what DataDEL knows of a data set: its Croissant manifest (MLCommons, version 1.1).

``data_manifests/datadel.json`` names the sets, in the order of Table 1 and beyond; ``datadel/<name>.json`` describes
each. What Croissant has no word for is a field ``del:...``: the paper's name of the set, access, counts, uses, doubts.
"""

from __future__ import annotations

import difflib
import functools
import re
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from meddel import manifests
from meddel.errors import MedDELError

Permission = Literal["yes", "no", "ask", "unknown"]

USES = ("research", "commercial", "redistribution")
_UNITS = {"B": 1, "kB": 1e3, "MB": 1e6, "GB": 1e9, "TB": 1e12}


def _plain(name: str) -> str:
    """Return a name that can only be that of a file or folder directly inside another."""
    if not re.fullmatch(r"\w[^/\\:\0]*", name):
        raise ValueError(f"{name!r} is no plain name")
    return name


def _size_of(text: str | None) -> int | None:
    """Return the bytes of a ``contentSize`` such as ``"46227172 B"`` or ``"3.9 GB"``."""
    if text is None:
        return None
    matched = re.fullmatch(r"([\d.]+) ?([kMGT]?B)", text)
    if matched is None:
        raise ValueError(f"contentSize {text!r} is not a number and B, kB, MB, GB or TB")
    return round(float(matched[1]) * _UNITS[matched[2]])


Name = Annotated[str, AfterValidator(_plain)]
Count = int | None


class Archive(BaseModel):
    """A file to fetch; its size in bytes, if `approximate` a rounded figure of a page, and its hashes as published."""

    model_config = ConfigDict(frozen=True)

    name: Name
    urls: tuple[str, ...] = ()  # in order of preference; empty where only a person can get it
    size: Annotated[int | None, BeforeValidator(_size_of)] = Field(None, alias="contentSize")
    approximate: bool = False
    sha256: str | None = None
    md5: str | None = None


class Manifest(BaseModel):
    """A data set, and what is known of it; `jsonld` is the whole manifest, with its record sets."""

    model_config = ConfigDict(frozen=True)

    name: Name
    title: str = Field(alias="alternateName")
    description: str
    citation: str = Field(alias="citeAs")
    licence: str = Field(alias="license")  # a URL, or what the source says
    landing: str = Field(alias="url")
    paper_name: str | None = Field(None, alias="del:paperName")  # as in Table 1; None beyond it
    division: Literal["pre-training", "downstream", "beyond"] = Field(alias="del:division")
    modality: str = Field(alias="del:modality")
    access: Literal["open", "form", "account", "request", "none"] = Field(alias="del:access")
    how: str = Field(alias="conditionsOfAccess")  # what a person has to do
    uses: dict[str, Permission] = Field(alias="del:uses")
    images: Count = Field(None, alias="del:images")
    videos: Count = Field(None, alias="del:videos")
    frames: Count = Field(None, alias="del:frames")  # inside the videos
    centres: Count = Field(None, alias="del:centres")  # hospitals
    doubts: tuple[str, ...] = Field((), alias="del:doubts")  # what could not be verified
    archives: tuple[Archive, ...]
    jsonld: dict[str, Any]


def names() -> tuple[str, ...]:
    """Return the names of all sets, those of Table 1 first."""
    return tuple(part["name"] for part in manifests.read_json("datadel.json")["hasPart"])


@functools.cache
def load(name: str) -> Manifest:
    """Return the manifest of the set `name`."""
    if name not in names():
        near = difflib.get_close_matches(name.lower().replace("_", "-"), names(), 1, 0.5)
        fix = f"did you mean {near[0]}? " if near else ""
        raise MedDELError(f"no data set is called {name!r}", fix=f"{fix}meddel data list shows all")
    return of_jsonld(manifests.read_json(f"datadel/{name}.json"))


def of_jsonld(jsonld: dict[str, Any]) -> Manifest:
    """Return the fields of a Croissant manifest; refuse names that would lead out of the cache."""
    try:
        uses = {use: jsonld["del:uses"][use] for use in USES}
        return Manifest.model_validate({**jsonld, "del:uses": uses, "archives": _archives(jsonld), "jsonld": jsonld})
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        name = jsonld.get("name") if isinstance(jsonld, dict) else None
        reason = " ".join(str(error).splitlines()[:3])
        raise MedDELError(f"no manifest of a data set: {reason}", name, "mend it") from error


def _archives(jsonld: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the files of a manifest that are inside no other; its own page is no address of a file."""
    found = []
    for entry in jsonld["distribution"]:
        if entry["@type"] == "cr:FileObject" and "containedIn" not in entry:
            urls = [url for url in (entry["contentUrl"], *entry.get("sameAs", ())) if url != jsonld["url"]]
            approximate = bool(re.search("[kMGT]B$", str(entry.get("contentSize"))))
            found.append({**entry, "urls": urls, "approximate": approximate})
    return found
