// Some rows of a matrix, in float64 or as they are.
//
// Formula.  out_i = x_(rows_i).
// Shapes.   x [n, d]; rows int64 [m]; out float64 or as x [m, d]. Bytes moved: the rows, twice. A warp a row.
#include "warp.cuh"

extern "C" __global__ void __launch_bounds__(THREADS)
take(const ELEMENT* x, const long long* rows, int m, int d, double* out) {
    if (ROW >= m) return;
    for (int column = LANE; column < d; column += 32)
        out[size_t(ROW) * d + column] = wide(x[size_t(rows[ROW]) * d + column]);
}

extern "C" __global__ void __launch_bounds__(THREADS)
subset(const ELEMENT* x, const long long* rows, int m, int d, ELEMENT* out) {
    if (ROW >= m) return;
    for (int column = LANE; column < d; column += 32)
        out[size_t(ROW) * d + column] = x[size_t(rows[ROW]) * d + column];
}
