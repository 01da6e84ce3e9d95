// What the screens see of a matrix: its rows in int8, and how wrong that can be.
//
// Formula.  x' = f (x - m),  s = max_j |x'_j| / 127,  q_j = round(x'_j / s).
// A centre m and a power of two f that brings every row to a length of at most 1. Kept per row: q, s, upper bounds
// (float32) of |s q| and of e = |x' - s q|, and |x'|^2 (float64). For two rows x and c, by Cauchy and Schwarz,
//
//     |<x', c'> - s_x s_c <q_x, q_c>|  <=  e_x |s_c q_c| + (|s_x q_x| + e_x) e_c.
//
// Both things to be found are a product <x', c'> plus a number of each row:
//     nearest c:       (|x'|^2 - f^2 |x - c|^2) / 2  =  <x', c'> - |c'|^2 / 2
//     greatest cosine: f^2 <x, c>  =  <x', c'> + h_x + h_c,  h = (f^2 |x|^2 - |x'|^2) / 2
// so that one number `offset` a row is kept too: -|x'|^2 / 2, or h where `cosine` is 1.
//
// Shapes.   x [n, d]; centre float64 [d]; q int8 [n, l], l = d rounded up to 64 (zeros there); scale, length, error,
//           offset float32 [n]; square float64 [n]; most float32 [3]: the largest length, error and |offset|, raised.
// Contract. Computed in float64 and rounded upwards (2^-22, more than the rounding to float32 loses). What is not
//           finite makes `most` infinite or NaN, and then nothing is screened out.
// Bytes moved: x twice (the second time from cache), l + 24 a row written. A warp a row.
#include "warp.cuh"

#define UPWARDS (1.0 + 1.0 / (1 << 22))
#define LEAST 1e-37

// largest: float64 [2], raised to the largest |x_ij - m_j| and the largest |x_ij|.
extern "C" __global__ void __launch_bounds__(THREADS)
extent(const ELEMENT* x, const double* centre, int n, int d, double* largest) {
    if (ROW >= n) return;
    const ELEMENT* row = x + size_t(ROW) * d;
    double from_centre = 0.0, from_zero = 0.0;
    for (int column = LANE; column < d; column += 32) {
        from_centre = fmax(from_centre, fabs(wide(row[column]) - centre[column]));
        from_zero = fmax(from_zero, fabs(wide(row[column])));
    }
    from_centre = warp_max(from_centre);
    from_zero = warp_max(from_zero);
    // Floats that are not negative stand in the order of their bits.
    if (LANE == 0) atomicMax((unsigned long long*)largest, (unsigned long long)__double_as_longlong(from_centre));
    if (LANE == 1) atomicMax((unsigned long long*)largest + 1, (unsigned long long)__double_as_longlong(from_zero));
}

__device__ inline void raise(float* most, float value) {
    atomicMax((int*)most, __float_as_int(value) & 0x7fffffff);  // NaN is the largest of all
}

extern "C" __global__ void __launch_bounds__(THREADS)
lead(const ELEMENT* x, const double* centre, double factor, int cosine, int n, int d, int l, signed char* q,
     float* scale, float* length, float* error, float* offset, double* square, float* most) {
    if (ROW >= n) return;
    const ELEMENT* row = x + size_t(ROW) * d;
    double peak = 0.0, own = 0.0, centred = 0.0;
    for (int column = LANE; column < d; column += 32) {
        const double value = factor * (wide(row[column]) - centre[column]);
        peak = fmax(peak, fabs(value));
        centred += value * value;
        if (cosine) own += wide(row[column]) * wide(row[column]);
    }
    centred = warp_sum(centred);
    own = warp_sum(own);
    const double step = float(warp_max(peak) / 127.0), inverse = step > LEAST ? 1.0 / step : 0.0;
    double kept = 0.0, lost = 0.0;
    for (int column = LANE; column < l; column += 32) {
        const double value = column < d ? factor * (wide(row[column]) - centre[column]) : 0.0;
        const double whole = fmin(fmax(rint(value * inverse), -127.0), 127.0);
        q[size_t(ROW) * l + column] = (signed char)whole;
        kept += (step * whole) * (step * whole);
        lost += (value - step * whole) * (value - step * whole);
    }
    kept = warp_sum(kept);
    lost = warp_sum(lost);
    if (LANE) return;
    scale[ROW] = float(step);
    length[ROW] = float(sqrt(kept) * UPWARDS + LEAST);
    error[ROW] = float(sqrt(lost) * UPWARDS + LEAST);
    offset[ROW] = float(cosine ? 0.5 * (factor * factor * own - centred) : -0.5 * centred);
    square[ROW] = centred;
    raise(most, length[ROW]);
    raise(most + 1, error[ROW]);
    raise(most + 2, offset[ROW]);
}
