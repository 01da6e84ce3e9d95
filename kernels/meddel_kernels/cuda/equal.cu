// Which unit rows equal an earlier one of their cluster.
//
// Formula.  offset_i = -infinity where u_i = u_(earliest_i) and earliest_i != i: nobody's partner, as ties go to the
//           first.
// Shapes.   unit float64 [n, d]; earliest int32 [n], the first row of the cluster with the same hash (see unit.cu),
//           often the row itself; offset float32 [n]. Of rows with one hash, each is compared with the earliest alone:
//           one that differs from it counts as a first, which costs time where it is not and changes no answer.
// Bytes moved: 4 a row, 16 d for a row whose hash is an earlier one's. A warp a row.
#include "warp.cuh"

extern "C" __global__ void __launch_bounds__(THREADS)
equal(const double* unit, const int* earliest, int n, int d, float* offset) {
    if (ROW >= n || earliest[ROW] == ROW) return;
    bool same = true;
    for (int column = LANE; column < d; column += 32)
        same = same && unit[size_t(ROW) * d + column] == unit[size_t(earliest[ROW]) * d + column];
    if (__all_sync(ALL, same) && LANE == 0) offset[ROW] = -FAR;
}
