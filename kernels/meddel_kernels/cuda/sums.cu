// Centroids from labels: fixed-point sums, brought up to date with the rows that moved, sizes, and means.
//
// Formula.  sums_(after_i) += round(2^p (w_i x_i)), int64; where row i had a label before, the same is taken off there.
//           w_i x_ij is rounded to float64 first; without weights w is 1. Rounding is to the nearest, ties to even.
//           mean_c = 2^-p (sums_c / size_c), rounded as NumPy does.
// Whole numbers add up to the same in any order, so atomic additions give the same bytes whichever comes first.
//
// Shapes.   x [n, d]; weights float64 [n] or null; before (-1: none; null: of all), after int32 [n]; sums int64 [k, d];
//           sizes int32 [k + 1], zeros at first: the last is 1 where a label has changed; moved float64 [k, d].
// Contract. No sum leaves 62 bits: see fixed_point.py. Two's complement: adding 2^64 - v takes v off.
// Bytes moved: 8 a row; for a row that moved 4 d more read and 8 d or 16 d updated in the second-level cache.
#include "warp.cuh"

extern "C" __global__ void __launch_bounds__(THREADS)
sums(const ELEMENT* x, const double* weights, const int* before, const int* after, double scale, int n, int d,
     unsigned long long* sums) {
    if (ROW >= n || before[ROW] == after[ROW]) return;
    const double weight = weights ? weights[ROW] : 1.0;
    unsigned long long* to = sums + size_t(after[ROW]) * d;
    unsigned long long* from = before[ROW] < 0 ? nullptr : sums + size_t(before[ROW]) * d;
    for (int column = LANE; column < d; column += 32) {
        const double value = __dmul_rn(weight, wide(x[size_t(ROW) * d + column]));
        const unsigned long long whole = __double2ll_rn(__dmul_rn(value, scale));
        atomicAdd(to + column, whole);
        if (from) atomicAdd(from + column, 0 - whole);
    }
}

// A thread a row.
extern "C" __global__ void __launch_bounds__(THREADS)
sizes(const int* before, const int* after, int n, int k, int* sizes) {
    const int row = int(blockIdx.x) * THREADS + int(threadIdx.x);
    if (row >= n) return;
    atomicAdd(sizes + after[row], 1);
    if (!before || before[row] != after[row]) sizes[k] = 1;
}

extern "C" __global__ void __launch_bounds__(THREADS)
means(const unsigned long long* sums, const int* sizes, double scale, int k, int d, double* moved) {
    if (ROW >= k) return;
    const size_t own = size_t(ROW) * d;
    for (int column = LANE; column < d; column += 32)
        moved[own + column] = __dmul_rn(__ddiv_rn(double((long long)sums[own + column]), double(sizes[ROW])), scale);
}
