"""The record of an executed notebook: its tables as it has shown them, and its figures in words."""

from __future__ import annotations

import html
import re
from pathlib import Path

import nbformat
from nbformat import NotebookNode

from meddel import artefacts, wording
from meddel.errors import MedDELError

_FIGURE = re.compile(r'<img alt="([^"]*)" src="data:image/png;base64,[^"]+">')


def record_notebook(out: Path, name: str, folder: Path, command: str) -> list[Path]:
    """Write the record of a notebook that was executed in a run.

    Parameters
    ----------
    out : Path
        The run's folder.
    name : str
        The notebook, such as ``13_try_other_modalities``.
    folder : Path
        Gets ``results.md`` (all tables, printed lines and the alt texts of figures, in order), ``summary.md`` (the last
        table, which is the verdict) and ``provenance.json``. Figures stay out: they may show images of the data.
    command : str
        What a person types to get it again.

    Returns
    -------
    list of Path
        The files written.

    Raises
    ------
    MedDELError
        The notebook was not executed to its end, or shows no table.
    """
    executed = out / "notebooks" / f"{name}.ipynb"
    known = artefacts.read_provenance(executed.with_suffix(".html"))
    if known is None or not executed.is_file():
        raise MedDELError("the notebook was not run to its end", executed, f"meddel run --only {name}")
    tables, texts = _shown(nbformat.read(executed, as_version=4))
    if not tables:
        raise MedDELError("the notebook shows no table", executed, "record another one")
    made = {key: getattr(known, key) for key in ("version", "commit", "machine", "device", "seconds", "parameters")}
    made["parameters"] = {key: value for key, value in known.parameters.items() if key not in ("data", "out")}
    took = wording.duration(known.seconds)
    how = f"`{command}`, version {known.version}, on {known.machine} ({known.device}), in {took}."
    contents = {
        "results.md": "\n\n".join([how, *texts]) + "\n",
        "summary.md": f"{how}\n\n{tables[-1]}\n",
    }
    for file, content in contents.items():
        artefacts.write_text(folder / file, content)
    artefacts.write_json(folder / "provenance.json", {"command": command, "notebook": name, **made})
    return [folder / file for file in (*contents, "provenance.json")]


def _shown(notebook: NotebookNode) -> tuple[list[str], list[str]]:
    """The tables of an executed notebook; and all that it has shown, in order, as text."""
    tables, texts = [], []
    for cell in notebook.cells:
        for output in cell.get("outputs", ()):
            data = output.get("data", {})
            if output.output_type == "stream" and output.name == "stdout":
                texts.append(f"```text\n{output.text.strip()}\n```")
            elif "text/markdown" in data and data["text/markdown"].lstrip().startswith("**"):
                tables.append(data["text/markdown"].strip())
                texts.append(tables[-1])
            elif found := _FIGURE.fullmatch(data.get("text/html", "")):
                texts.append(f"*Figure.* {html.unescape(found[1])}")
    return tables, texts
