// The unit rows of a matrix, in float64 as the reference has them.
//
// Formula.  u_i = (x_i / p) / |x_i / p|,  p = max_j |x_ij|; a row of zeros stays one. Dividing by p first keeps the
//           squares of tiny rows from vanishing. The length is the root of a sum in NumPy's order (see exact.cuh).
// Shapes.   x [n, d]; unit float64 [n, d]; hashes uint64 [n]: equal rows have equal ones.
// Bytes moved: x twice and the unit rows three times, mostly from cache. A warp a row.
#include "exact.cuh"

__device__ inline unsigned long long mixed(unsigned long long x) {
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ull;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebull;
    return x ^ (x >> 31);
}

extern "C" __global__ void __launch_bounds__(THREADS)
unit(const ELEMENT* x, const int* cuts, int pieces, int n, int d, double* unit, unsigned long long* hashes) {
    if (ROW >= n) return;
    const ELEMENT* row = x + size_t(ROW) * d;
    double* out = unit + size_t(ROW) * d;
    double peak = 0.0;
    for (int column = LANE; column < d; column += 32) peak = fmax(peak, fabs(wide(row[column])));
    peak = warp_max(peak);
    for (int column = LANE; column < d; column += 32)
        out[column] = peak > 0.0 ? __ddiv_rn(wide(row[column]), peak) : wide(row[column]);
    __syncwarp();
    const double norm = __dsqrt_rn(exact_sum<false>(out, out, cuts, pieces));
    unsigned long long hash = 0;
    for (int column = LANE; column < d; column += 32) {
        if (norm > 0.0) out[column] = __ddiv_rn(out[column], norm);
        // Adding zero turns -0.0 into 0.0. Sums do not depend on which lane had which column.
        hash += mixed(__double_as_longlong(out[column] + 0.0) + 0x9e3779b97f4a7c15ull * (column + 1));
    }
    for (int step = 16; step; step /= 2) hash += __shfl_xor_sync(ALL, hash, step);
    if (LANE == 0) hashes[ROW] = hash;
}
