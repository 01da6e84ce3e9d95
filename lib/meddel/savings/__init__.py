"""What a smaller subset saves, measured: room on the disk (section 4.3), seconds, joules and memory (section 4.4).

*Selection* is what choosing costs, *training* what is done with the images that were chosen; they are kept apart, as
the first is paid once and the second for every encoder.
"""

from meddel.savings.bill import SELECTING, STEPS, apart, computing, seconds_from_nothing
from meddel.savings.break_even import OWN, READY, curve, reuses, sizes
from meddel.savings.day import hours_of_a_day, storage_of_a_day
from meddel.savings.rates import Rates, rates, selection_times
from meddel.savings.storage import bytes_on_disk, file_bytes, storage
from meddel.savings.throughput import forward_rates

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
