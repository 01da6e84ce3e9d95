// Which unit rows equal an earlier one of their cluster.
//
// Formula.  twin_i = 1 where u_i = u_(earliest_i) and earliest_i != i, else 0.
// Shapes.   unit float64 [n, d]; rows, earliest int32 [m]: rows whose hash (see unit.cu) an earlier row of the cluster
//           has, and the first of those; twin int8 [n], zeros at first. Of rows with one hash each is compared with the
//           first alone: one that differs from it counts as no twin, which costs time and changes no answer.
// Bytes moved: 16 d a row. A warp a row.
#include "warp.cuh"

extern "C" __global__ void __launch_bounds__(THREADS)
equal(const double* unit, const int* rows, const int* earliest, int m, int d, signed char* twin) {
    if (ROW >= m) return;
    const double *own = unit + size_t(rows[ROW]) * d, *other = unit + size_t(earliest[ROW]) * d;
    bool same = true;
    for (int column = LANE; column < d; column += 32) same = same && own[column] == other[column];
    if (__all_sync(ALL, same) && LANE == 0) twin[rows[ROW]] = 1;
}
