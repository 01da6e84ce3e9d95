// How wrong each row's estimates can be, and so how far from the best one a column still matters.
//
// Formula.  slack_r = e_r L + (|s_r q_r| + e_r) E + 2^-20 (|s_r q_r| L + H) + 2^-30 own_r + tiny:  see screen.cuh.
// Shapes.   length, error float32 [n]; square float64 [n], or null where own is 1; most float32 [3] = L, E, H of the
//           columns; out float32 [n]. Bytes moved: 12 or 20 a row. A thread a row.
#include "warp.cuh"

extern "C" __global__ void __launch_bounds__(THREADS)
slack(const float* length, const float* error, const double* square, const float* most, double tiny, int n,
      float* out) {
    const int row = blockIdx.x * THREADS + threadIdx.x;
    if (row >= n) return;
    const double own = square ? square[row] : 1.0, rounding = 1.0 / (1 << 20);
    const double kept = length[row], lost = error[row];
    const double slack = lost * most[0] + (kept + lost) * most[1] + rounding * (kept * most[0] + most[2]);
    out[row] = float((slack + own / (1 << 30) + tiny) * (1.0 + rounding));
}
