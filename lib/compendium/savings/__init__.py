"""What a smaller subset saves, measured: room on the disk (section 4.3), seconds, joules and memory (section 4.4).

*Selection* is what choosing costs, *training* what is done with the images that were chosen; they are kept apart, as
the first is paid once and the second for every encoder.
"""

from compendium.savings.bill import SELECTING, STEPS, apart, computing, seconds_from_nothing
from compendium.savings.break_even import OWN, READY, curve, reuses, sizes
from compendium.savings.day import hours_of_a_day, storage_of_a_day
from compendium.savings.rates import Rates, rates, selection_times
from compendium.savings.storage import bytes_on_disk, file_bytes, storage
from compendium.savings.throughput import forward_rates

__all__ = [
    "OWN",
    "READY",
    "SELECTING",
    "STEPS",
    "Rates",
    "apart",
    "bytes_on_disk",
    "computing",
    "curve",
    "file_bytes",
    "forward_rates",
    "hours_of_a_day",
    "rates",
    "reuses",
    "seconds_from_nothing",
    "selection_times",
    "sizes",
    "storage",
    "storage_of_a_day",
]
