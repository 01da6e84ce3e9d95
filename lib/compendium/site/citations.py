"""Citations: where a text names an arXiv number that the bibliography holds, a link to its entry is added."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

_ENTRY = re.compile(r"^@\w+\{([\w-]+),(.*?)^\}", re.MULTILINE | re.DOTALL)
_EPRINT = re.compile(r"^\s*eprint\s*=\s*\{([\d.]+)\}", re.MULTILINE)
_NUMBER = re.compile(r"arXiv[: ](\d{4}\.\d{4,5})(?![\d.]*\d)")


def keys_by_arxiv(bibliography: Path) -> dict[str, str]:
    """Return the key of every entry of a .bib file that has an arXiv number, by that number."""
    entries = _ENTRY.findall(bibliography.read_text(encoding="utf-8"))
    return {found[1]: key for key, body in entries if (found := _EPRINT.search(body))}


def cite(text: str, keys: Mapping[str, str], role: str) -> str:
    """Return `text` with a citation after every arXiv number in `keys`.

    Parameters
    ----------
    text : str
        MyST Markdown or reStructuredText.
    keys : mapping
        As `keys_by_arxiv` returns it.
    role : str
        How the text's language spells the role: ``"{cite:p}"`` or ``":cite:p:"``.
    """

    def add(found: re.Match[str]) -> str:
        key = keys.get(found[1])
        return found[0] if key is None else f"{found[0]} {role}`{key}`"

    return _NUMBER.sub(add, text)
