"""The results record: what the project keeps of a run, small and readable, and what its README shows of it."""

from meddel.record.notebook import record_notebook
from meddel.record.readme import insert
from meddel.record.study import record

__all__ = ["insert", "record", "record_notebook"]
