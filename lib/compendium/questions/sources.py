"""What a run's data offer to the open questions: labelled sets by modality, and sets with masks beyond endoscopy.

Without data the run's generated endoscopy and drawn textures stand in, so that everything can be run.
"""

from __future__ import annotations

from pathlib import Path

from compendium.questions import generated
from compendium.questions.labelled import ENDOSCOPY, NATURAL, UNKNOWN, LabelledSet, find, modality_of
from compendium.questions.quality import MEDICAL
from compendium.questions.quality import NATURAL as NATURAL_DOMAIN
from meddel.config import Run


def other_modalities(run: Run, size: int) -> list[LabelledSet]:
    """Return the labelled sets that show neither endoscopy nor nature; without data, the generated endoscopy alone.

    Raises
    ------
    MedDELError
        A set can't be read.
    """
    if run.generated:
        return [generated.endoscopy(run, size)]
    return [data for data in _labelled(run, size) if data.modality not in (ENDOSCOPY, NATURAL)]


def domains(run: Run, size: int) -> dict[str, LabelledSet]:
    """Return the medical and the natural domain of the question of quality; one or both may be missing.

    The medical one is the run's largest labelled set of endoscopy, the natural one its largest of natural images;
    without data they are generated endoscopy and drawn textures.

    Raises
    ------
    MedDELError
        A set can't be read.
    """
    if run.generated:
        return {MEDICAL: generated.endoscopy(run, size), NATURAL_DOMAIN: generated.textures(size)}
    labelled, found = _labelled(run, size), {}
    for domain, modality in ((MEDICAL, ENDOSCOPY), (NATURAL_DOMAIN, NATURAL)):
        sets = [data for data in labelled if data.modality == modality]
        if sets:
            found[domain] = max(sets, key=lambda data: len(data.images))
    return found


def masked_studies(run: Run) -> dict[str, Run]:
    """Return a run of the study for every set with masks that is known to show something else than endoscopy.

    Each is the same study on that set alone, with random selection and MedDEL only, which is what is asked of it: its
    pool are the set's training images, without their masks.
    """
    found = {}
    profile = run.profile.model_copy(update={"selectors": ("random", "meddel"), "pool_downstream_train": True})
    for root in _folders(run):
        foreign = modality_of(root.name) not in (ENDOSCOPY, NATURAL, UNKNOWN)
        if foreign and (root / "masks").is_dir():
            changes = {"data": root, "out": run.out / "questions" / "study" / root.name, "profile": profile}
            found[root.name] = run.model_copy(update=changes)
    return found


def _labelled(run: Run, size: int) -> list[LabelledSet]:
    return [] if run.generated else find(run.data, size, run.out / "questions" / "labelled" / str(size))


def _folders(run: Run) -> list[Path]:
    return [] if run.generated else [run.data, *sorted(path for path in run.data.iterdir() if path.is_dir())]
