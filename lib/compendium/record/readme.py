"""The places of a README, between marks, that show what a record holds and nothing else."""

from __future__ import annotations

from meddel.errors import MedDELError

_BEGIN, _END = "<!-- results: {name} -->", "<!-- end of results -->"


def insert(readme: str, name: str, results: str) -> str:
    """Return the README's text with `results` between the marks of the record `name`.

    Raises
    ------
    MedDELError
        The marks are missing.
    """
    begin = _BEGIN.format(name=name)
    before, found, rest = readme.partition(begin)
    _, closed, after = rest.partition(_END)
    if not (found and closed):
        raise MedDELError(f"no place for the results {name!r}", "README.md", f"write {begin} and {_END} into it")
    return f"{before}{begin}\n{results.strip()}\n{_END}{after}"
