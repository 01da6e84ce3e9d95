"""Sliders over a view: the one place that knows widgets."""

from __future__ import annotations

import html
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import ipywidgets
from IPython.core.getipython import get_ipython
from IPython.display import display
from matplotlib.figure import Figure

from meddel.errors import MedDELError

View = Callable[..., Figure | str]

_UNATTENDED = "Sliders for this view appear where the notebook is run in Jupyter."


@dataclass(frozen=True)
class Panel:
    """A view and what moves it; a notebook shows it where a cell ends with it.

    Attributes
    ----------
    view : callable
        From settings, by name, to a figure of `compendium.figures` or to HTML.
    controls : callable
        Returns new controls, by the names of the settings. They are made only when they are shown, because an executed
        notebook keeps the state of every widget, and a page made from it would show sliders that nothing answers.
    sets : mapping of str to (str, value), optional
        What else a moved control sets: the name of another one, and its value.
    """

    view: View
    controls: Callable[[], Mapping[str, ipywidgets.DOMWidget]]
    sets: Mapping[str, tuple[str, Any]] | None = None

    def widget(self) -> ipywidgets.VBox:
        """Return the controls above the view, which is drawn again whenever one of them changes.

        What the view refuses, by `MedDELError`, is said in its place.
        """
        controls, shown = dict(self.controls()), ipywidgets.HTML()

        def draw(_: object = None) -> None:
            shown.value = self._drawn({name: control.value for name, control in controls.items()})

        def follow(name: str, value: Any) -> Callable[[object], None]:
            return lambda _: setattr(controls[name], "value", value)

        for name, (other, value) in (self.sets or {}).items():
            controls[name].observe(follow(other, value), names="value")
        for control in controls.values():
            control.observe(draw, names="value")
        draw()
        return ipywidgets.VBox([*controls.values(), shown])

    def _drawn(self, settings: Mapping[str, Any]) -> str:
        try:
            return as_html(self.view(**settings))
        except MedDELError as error:
            return f'<p role="alert">{html.escape(str(error))}</p>'

    def _ipython_display_(self) -> None:
        if attended():
            display(self.widget())
        else:
            display({"text/plain": _UNATTENDED}, raw=True)


def as_html(shown: Figure | str) -> str:
    """Return what a view made as HTML: a figure as an image with its alt text, HTML as it is."""
    return shown if isinstance(shown, str) else shown._repr_html_()


def attended() -> bool:
    """Tell whether somebody is there to move a slider: the request to run this cell says that it may be asked back.

    papermill, nbclient and what builds on them say that nothing can be asked; JupyterLab and its like allow it.
    """
    kernel = getattr(get_ipython(), "kernel", None)
    request = {} if kernel is None else kernel.get_parent("shell")
    return bool(request.get("content", {}).get("allow_stdin"))
