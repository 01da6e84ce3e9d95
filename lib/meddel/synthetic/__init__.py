"""Generated colonoscopy-like video with exact masks and known truth, deterministic by seed."""

from meddel.synthetic.data_sets import DATA_SETS, LABELLED, SOURCES
from meddel.synthetic.generation import generate
from meddel.synthetic.render import Frame, render_frame
from meddel.synthetic.truth import TRUTH_SCHEMA

__all__ = ["DATA_SETS", "LABELLED", "SOURCES", "TRUTH_SCHEMA", "Frame", "generate", "render_frame"]
