"""Show the licence of a data set once and have it accepted once; a changed licence is shown again.

``accepted.json`` at the cache's root says which licence was accepted for which set, and when.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

from datadel import cache
from datadel.manifest import Manifest
from meddel.errors import MedDELError

FILE = "accepted.json"


def terms(manifest: Manifest) -> str:
    """Return what a person has to know before fetching a set, in a few lines."""
    uses = ", ".join(f"{use} {permission}" for use, permission in manifest.uses.items())
    return f"{manifest.title}\nlicence: {manifest.licence}\nuse: {uses}\n{manifest.how}\nfrom: {manifest.landing}"


def is_accepted(manifest: Manifest) -> bool:
    """Tell whether the licence that the manifest states was accepted.

    Raises
    ------
    MedDELError
        The record of accepted licences is damaged.
    """
    return cache.records(FILE).get(manifest.name, {}).get("licence") == manifest.licence


def require(manifest: Manifest, ask: Callable[[str], bool] | None, accept: bool) -> None:
    """Have the licence of a set accepted, unless it was before, and remember that.

    Parameters
    ----------
    manifest : Manifest
        The set.
    ask : callable or None
        Shows the `terms` and tells whether the person accepts them; None where nobody can be asked.
    accept : bool
        The person has accepted already.

    Raises
    ------
    MedDELError
        The licence isn't accepted.
    """
    if is_accepted(manifest):
        return
    if not accept:
        if ask is None:
            what = f"the licence of {manifest.name} is not accepted yet: {manifest.licence}"
            raise MedDELError(what, manifest.landing, "read it and pass --accept")
        if not ask(terms(manifest)):
            raise MedDELError(f"the licence of {manifest.name} was not accepted", fix="nothing was fetched")
    date = datetime.now(UTC).date().isoformat()
    cache.record(FILE, manifest.name, {"licence": manifest.licence, "date": date})
