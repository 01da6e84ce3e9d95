"""The files of data_manifests are found, and a missing one is named."""

from __future__ import annotations

import pytest

from meddel import manifests
from meddel.errors import MedDELError


def test_a_manifest_is_found_and_read():
    assert manifests.path("local_sets.json").is_file()
    assert manifests.read_json("local_sets.json")["sets"]["kvasir_seg"]["role"] == "downstream"


def test_every_local_set_has_a_role_a_modality_and_its_terms():
    for name, facts in manifests.read_json("local_sets.json")["sets"].items():
        assert facts["role"] in {"pretraining", "downstream", "other"}, name
        assert all(facts[key] for key in ("title", "modality", "citation", "terms", "note")), name


@pytest.mark.parametrize("name", ["nothing.csv", "paper"])
def test_a_missing_manifest_is_named(name):
    with pytest.raises(MedDELError, match=f"no manifest '{name}'"):
        manifests.path(name)
