"""The Croissant manifests are valid, complete, and right about the paths that the program reads."""

from __future__ import annotations

import copy
import csv
import fnmatch
import io
import json
import os
import re
import subprocess
import sys
import warnings
import zipfile
from collections import Counter
from pathlib import Path
from typing import Any

import mlcroissant
import pytest
from PIL import Image

from datadel import manifest
from meddel import manifests

INDEX = manifests.read_json("datadel.json")
NAMES = manifest.names()
JSONLD = {name: manifests.read_json(f"datadel/{name}.json") for name in NAMES}
REQUIRED = (
    *("alternateName", "description", "url", "license", "citeAs", "creator", "datePublished", "version", "keywords"),
    *("conditionsOfAccess", "del:access", "del:division", "del:modality", "del:uses", "del:doubts", "del:sources"),
    *("rai:dataCollection", "rai:dataLimitations", "rai:personalSensitiveInformation", "rai:dataUseCases"),
)
# What Creative Commons lets one do: research, commercial use, passing on.
CREATIVE_COMMONS = {
    "by": ("yes", "yes", "yes"),
    "by-sa": ("yes", "yes", "yes"),
    "by-nc": ("yes", "no", "yes"),
    "by-nc-sa": ("yes", "no", "yes"),
}
# Prints the records that mlcroissant reads from the archives of a folder.
READ = """
import json, sys
from pathlib import Path
import mlcroissant
jsonld, folder = json.loads(Path(sys.argv[1]).read_text()), Path(sys.argv[2])
dataset = mlcroissant.Dataset(jsonld, mapping={path.name: path for path in folder.iterdir()})
keys = {name: [record[f"{name}/image_id"].decode() for record in dataset.records(name)] for name in sys.argv[3:]}
print(json.dumps(keys))
"""


def listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def faults(jsonld: dict[str, Any], caplog: pytest.LogCaptureFixture) -> list[str]:
    """All that mlcroissant finds or logs; deprecations inside the packages that it builds on are not the manifest's."""
    caplog.clear()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            issues = mlcroissant.Dataset(copy.deepcopy(jsonld)).metadata.ctx.issues
            found = [*issues.errors, *issues.warnings]
        except mlcroissant.ValidationError as error:
            found = [str(error)]
    said = [str(warning.message) for warning in caught if not issubclass(warning.category, DeprecationWarning)]
    return [*found, *said, *caplog.messages]


def rules(name: str) -> dict[str, tuple[list[str], dict[str, list[dict[str, str]]]]]:
    """For each record set that reads files by their paths: its globs, and the transforms of each field."""
    entries = {entry["@id"]: entry for entry in JSONLD[name]["distribution"]}
    found = {}
    for record_set in JSONLD[name].get("recordSet", ()):
        sources = {field["@id"]: field["source"] for field in record_set["field"]}
        globs = [entries[source["fileSet"]["@id"]]["includes"] for source in sources.values() if "fileSet" in source]
        steps = {at.rpartition("/")[2]: listed(one["transform"]) for at, one in sources.items() if "transform" in one}
        if globs:
            found[record_set["@id"]] = (listed(globs[0]), steps)
    return found


def read(path: str, steps: list[dict[str, str]]) -> str | None:
    for step in steps:
        if "replace" in step:
            old, _, new = step["replace"].partition("/")
            path = re.sub(old, new, path)
        else:
            found = re.search(step["regex"], path)
            if found is None:
                return None
            path = found[1]
    return path


def regexes() -> list[tuple[str, str, str]]:
    fields = [(name, field) for name in NAMES for part in JSONLD[name].get("recordSet", ()) for field in part["field"]]
    steps = [
        (name, field["@id"], step) for name, field in fields for step in listed(field["source"].get("transform", []))
    ]
    return [(name, where, step["regex"]) for name, where, step in steps if "regex" in step]


def examples() -> list[tuple[str, dict[str, str]]]:
    return [(name, example) for name in NAMES for example in JSONLD[name].get("del:examples", ())]


def archives() -> list[tuple[str, dict[str, Any]]]:
    found = [(name, entry) for name in NAMES for entry in JSONLD[name]["distribution"]]
    return [(name, entry) for name, entry in found if entry["@type"] == "cr:FileObject" and "containedIn" not in entry]


@pytest.mark.parametrize("name", ["datadel.json", *(f"datadel/{name}.json" for name in NAMES)])
def test_mlcroissant_finds_no_fault(name: str, caplog: pytest.LogCaptureFixture) -> None:
    assert faults(manifests.read_json(name), caplog) == []


@pytest.mark.parametrize("name", NAMES)
def test_nothing_is_left_out(name: str) -> None:
    assert [key for key in REQUIRED if not JSONLD[name].get(key)] == []


def test_the_index_lists_every_manifest_once_under_its_name() -> None:
    files = {path.name for path in (manifests.folder() / "datadel").iterdir()}
    assert Counter(files) == Counter(f"{name}.json" for name in NAMES)
    assert [part["url"] for part in INDEX["hasPart"]] == [f"datadel/{name}.json" for name in NAMES]
    assert [jsonld["name"] for jsonld in JSONLD.values()] == list(NAMES)
    assert [part["alternateName"] for part in INDEX["hasPart"]] == [one["alternateName"] for one in JSONLD.values()]


def test_every_row_of_table_1_has_its_manifest_in_the_paper_s_order() -> None:
    with manifests.path("paper/table1_datadel.csv").open(newline="", encoding="utf-8") as stream:
        printed = [(row["dataset"], row["division"]) for row in csv.DictReader(stream)]
    ours = [manifest.load(name) for name in NAMES]
    of_table_1 = [(one.paper_name, one.division.replace("-", "")) for one in ours if one.division != "beyond"]
    assert of_table_1 == printed
    assert {one.paper_name for one in ours[len(printed) :]} == {None}


@pytest.mark.parametrize("name", NAMES)
def test_uses_are_what_a_creative_commons_licence_allows(name: str) -> None:
    one = manifest.load(name)
    licence = re.fullmatch(r"https://creativecommons\.org/licenses/([a-z-]+)/[\d.]+/", one.licence)
    if licence:
        assert tuple(one.uses[use] for use in manifest.USES) == CREATIVE_COMMONS[licence[1]]
    else:
        assert tuple(one.uses.values()) != CREATIVE_COMMONS["by"] and one.doubts


def test_archives_have_well_formed_hashes_sizes_and_places() -> None:
    for name, entry in archives():
        assert re.fullmatch(r"[0-9a-f]{64}", entry.get("sha256", "0" * 64)), (name, entry["name"])
        assert re.fullmatch(r"[0-9a-f]{32}", entry.get("md5", "0" * 32)), (name, entry["name"])
        assert manifest.Archive(name="a", contentSize=entry.get("contentSize")).size != 0, (name, entry["name"])
        assert all(re.match(r"https?://[\w.-]+/", url) for url in (entry["contentUrl"], *entry.get("sameAs", ())))
        assert entry["@id"] == entry["name"] == Path(entry["name"]).name


@pytest.mark.parametrize("name", NAMES)
def test_a_set_without_hashes_says_that_it_may_change(name: str) -> None:
    own = [entry for owner, entry in archives() if owner == name]
    unhashed = any("sha256" not in entry and "md5" not in entry for entry in own)
    assert JSONLD[name].get("isLiveDataset", False) == unhashed


@pytest.mark.parametrize("name", NAMES)
def test_an_open_set_has_something_to_fetch_and_one_behind_a_form_nothing_of_its_own(name: str) -> None:
    one = manifest.load(name)
    if one.access in ("form", "none"):
        assert not any(archive.urls for archive in one.archives)
    elif one.access == "open":
        assert one.archives
    assert all(re.match(r"https?://", url) for url in (one.landing, *one.jsonld["del:sources"]))


@pytest.mark.parametrize(("name", "where", "regex"), regexes(), ids=[f"{name}-{at}" for name, at, _ in regexes()])
def test_every_regular_expression_has_one_group(name: str, where: str, regex: str) -> None:
    assert re.compile(regex).groups == 1


@pytest.mark.parametrize("name", NAMES)
def test_every_record_set_over_files_has_an_example(name: str) -> None:
    assert {example["set"] for example in JSONLD[name].get("del:examples", ())} == set(rules(name))


@pytest.mark.parametrize(("name", "example"), examples(), ids=[f"{name}-{one['path']}" for name, one in examples()])
def test_a_path_of_the_archive_is_read_as_stated(name: str, example: dict[str, str]) -> None:
    known = rules(name)
    matched = {at for at, (globs, _) in known.items() if any(fnmatch.fnmatchcase(example["path"], g) for g in globs)}
    assert matched == {example["set"]}
    found = {field: read(example["path"], steps) for field, steps in known[example["set"]][1].items()}
    stated = {field: value for field, value in example.items() if field not in ("path", "set")}
    assert {field: value for field, value in found.items() if value} == stated
    assert None not in found.values()
    for steps in known[example["set"]][1].values():
        first, anywhere = (find(steps[-1]["regex"], example["path"]) for find in (re.match, re.search))
        assert first and first[1] == anywhere[1], "mlcroissant matches from the start, the program searches"


@pytest.mark.parametrize("name", NAMES)
def test_images_have_masks_under_the_same_key(name: str) -> None:
    keys: dict[str, set[str]] = {"images": set(), "masks": set()}
    for example in JSONLD[name].get("del:examples", ()):
        keys.setdefault(example["set"], set()).add(example.get("image_id", example.get("video")))
    assert not keys["masks"] or keys["images"] & keys["masks"]


@pytest.mark.parametrize("name", ["edd2020", "polypgen2021"])
def test_mlcroissant_reads_the_records_of_an_archive(name: str, tmp_path: Path) -> None:
    jsonld = copy.deepcopy(JSONLD[name])
    (packed,) = [entry for entry in jsonld["distribution"] if entry["@type"] == "cr:FileObject"]
    packed.pop("sha256", None)
    jsonld["isLiveDataset"] = True
    stated: dict[str, list[str]] = {"images": [], "masks": []}
    (tmp_path / "archives").mkdir()
    with zipfile.ZipFile(tmp_path / "archives" / packed["name"], "w") as archive:
        for example in jsonld["del:examples"]:
            picture = io.BytesIO()
            Image.new("L", (4, 4), 255).save(picture, Image.registered_extensions()[Path(example["path"]).suffix])
            archive.writestr(example["path"], picture.getvalue())
            stated[example["set"]].append(example["image_id"])
    described = tmp_path / "croissant.json"
    described.write_text(json.dumps(jsonld), encoding="utf-8")
    command = [sys.executable, "-c", READ, str(described), str(tmp_path / "archives"), "images", "masks"]
    own_cache = {**os.environ, "CROISSANT_CACHE": str(tmp_path / "cache")}
    done = subprocess.run(command, env=own_cache, capture_output=True, text=True, check=True)
    assert {at: sorted(keys) for at, keys in json.loads(done.stdout.splitlines()[-1]).items()} == {
        at: sorted(keys) for at, keys in stated.items()
    }
