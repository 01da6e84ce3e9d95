"""The same work on many processes or machines, by Dask distributed.

`connect` gives a client of a cluster, or starts workers on this machine. `select` is `meddel.scale.select`, whose
passes through the rows the workers share, to the same bytes however many they are. ``studying.compute_study`` shares
the study's encoders (a module of its own, as it imports torch).

Workers need the same version of this package, and see the folders of the store and of the output at the same paths: a
shared file system. They read their rows by themselves; what travels are centroids, sums, labels and distances.
"""

from meddel.scale.cluster.connecting import connect
from meddel.scale.cluster.selecting import select
from meddel.scale.cluster.shared import SharedStream

__all__ = ["SharedStream", "connect", "select"]
