"""The results record: what the project keeps of a run, small and readable, and what its README shows of it."""

from compendium.record.notebook import record_notebook
from compendium.record.readme import insert
from compendium.record.study import record

__all__ = ["insert", "record", "record_notebook"]
