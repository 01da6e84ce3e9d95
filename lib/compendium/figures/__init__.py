"""The paper's figures, each one function from artefacts to a matplotlib figure with alt text, and their neighbours.

`beyond` holds the figures of what goes beyond the paper.
"""

from compendium.figures.differences import against_random, differences, sensitivity
from compendium.figures.fig1 import alpha_winners, fig1
from compendium.figures.fig2 import distances, eta_curves, fig2
from compendium.figures.fig3 import fig3
from compendium.figures.fig4 import fig4
from compendium.figures.fig5 import cluster_pictures, farthest_pictures, fig5
from compendium.figures.fig6 import fig6
from compendium.figures.pictures import contact_sheet
from compendium.figures.pipeline import pipeline
from compendium.figures.screening import decisions, roofline, rounding
from compendium.figures.style import alt, read_alt, save

__all__ = [
    "against_random",
    "alpha_winners",
    "alt",
    "cluster_pictures",
    "contact_sheet",
    "decisions",
    "differences",
    "distances",
    "eta_curves",
    "farthest_pictures",
    "fig1",
    "fig2",
    "fig3",
    "fig4",
    "fig5",
    "fig6",
    "pipeline",
    "read_alt",
    "roofline",
    "rounding",
    "save",
    "sensitivity",
]
