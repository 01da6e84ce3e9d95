"""Compiling without reference counts.

A function that is called for each row and takes tuples of arrays counts references, atomically, for every array that
it unpacks: some thirty a call, 1.5 us, more than the row's arithmetic. Numba leaves them out where its runtime is
switched off. Such a function can't allocate: whoever calls it brings room along.
"""

from __future__ import annotations

from functools import partial

import numba

lean = partial(numba.njit, cache=True, nogil=True, _nrt=False)
"""As ``numba.njit``, to be called with further options: ``@lean()``, ``@lean(fastmath=True)``."""
