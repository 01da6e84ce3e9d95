// What the screens see of a matrix: its rows in float16, and how wrong that can be.
//
// Formula.  x' = f (x - m),  s = max_j |x'_j| / 256,  h_j = x'_j / s in float16 (0 where that is below 2^-14).
// A centre m and a power of two f that brings every row to a length of at most 1. Kept per row: h; s, upper bounds of
// |s h| and of |x' - s h|, and an offset (float32, `Terms` in scores.cuh); |x'|^2 (float64). Both things to be found
// are a product <x', c'> plus a number of each row:
//     nearest c:       (|x'|^2 - f^2 |x - c|^2) / 2  =  <x', c'> - |c'|^2 / 2
//     greatest cosine: f^2 <x, c>  =  <x', c'> + h_x + h_c,  h = (f^2 |x|^2 - |x'|^2) / 2
// so that the offset is -|x'|^2 / 2, or h where `cosine` is 1.
//
// Shapes.   x [n, d]; centre float64 [d], or null for zeros; h float16 [n, l], l = d rounded up to 64 (zeros there);
//           terms float32 [n, 4]; square float64 [n]; largest float64 [2], zeros at first.
// Contract. Computed in float64 and rounded upwards (2^-22, more than the rounding to float32 loses). What is not
//           finite makes the bounds infinite or NaN, and then nothing is screened out.
// Bytes moved: x three times (twice from cache), 2 l + 24 a row written. A warp a row.
#include "scores.cuh"

#define UPWARDS (1.0 + 1.0 / (1 << 22))
#define LEAST 1e-37
#define NORMAL (1.0 / (1 << 14))  // the smallest float16 with all its bits

__device__ inline void raise(double* largest, double value) {
    // Floats that are not negative stand in the order of their bits. Most rows raise nothing, and need no atomic.
    if (value > *largest) atomicMax((unsigned long long*)largest, (unsigned long long)__double_as_longlong(value));
}

__device__ inline double finite_or_far(double x) { return x == x ? fabs(x) : double(FAR); }

// largest: raised to the largest |x_ij - m_j| and the largest |x_ij|; infinity where one is NaN.
extern "C" __global__ void __launch_bounds__(THREADS)
extent(const ELEMENT* x, const double* centre, int n, int d, double* largest) {
    if (ROW >= n) return;
    const ELEMENT* row = x + size_t(ROW) * d;
    double from_centre = 0.0, from_zero = 0.0;
#pragma unroll 4
    for (int column = LANE; column < d; column += 32) {
        const double value = wide(row[column]);
        from_zero = fmax(from_zero, finite_or_far(value));
        if (centre) from_centre = fmax(from_centre, fabs(value - centre[column]));
    }
    from_centre = warp_max(from_centre);
    from_zero = warp_max(from_zero);
    if (LANE == 0) raise(largest, from_centre);
    if (LANE == 1) raise(largest + 1, from_zero);
}

extern "C" __global__ void __launch_bounds__(THREADS)
lead(const ELEMENT* x, const double* centre, double factor, int cosine, int n, int d, int l, half_bits* h,
     float* terms, double* square) {
    if (ROW >= n) return;
    const ELEMENT* row = x + size_t(ROW) * d;
    double peak = 0.0, own = 0.0, centred = 0.0;
#pragma unroll 4
    for (int column = LANE; column < d; column += 32) {
        const double value = factor * (wide(row[column]) - centre[column]);
        peak = fmax(peak, fabs(value));
        centred += value * value;
        if (cosine) own += wide(row[column]) * wide(row[column]);
    }
    centred = warp_sum(centred);
    own = warp_sum(own);
    const double step = float(warp_max(peak) / 256.0), inverse = step > LEAST ? 1.0 / step : 0.0;
    double kept = 0.0, lost = 0.0;
#pragma unroll 4
    for (int column = LANE; column < l; column += 32) {
        const double value = column < d ? factor * (wide(row[column]) - centre[column]) : 0.0;
        const double size = fabs(value * inverse);
        const half_bits narrow = narrow_half(size >= NORMAL && size <= 512.0 ? float(value * inverse) : 0.0f);
        h[size_t(ROW) * l + column] = narrow;
        const double back = step * widen_half(narrow);
        kept += back * back;
        lost += (value - back) * (value - back);
    }
    kept = warp_sum(kept);
    lost = warp_sum(lost);
    if (LANE) return;
    terms[4 * size_t(ROW)] = float(step);
    terms[4 * size_t(ROW) + 1] = float(sqrt(kept) * UPWARDS + LEAST);
    terms[4 * size_t(ROW) + 2] = float(sqrt(lost) * UPWARDS + LEAST);
    terms[4 * size_t(ROW) + 3] = float(cosine ? 0.5 * (factor * factor * own - centred) : -0.5 * centred);
    square[ROW] = centred;
}
