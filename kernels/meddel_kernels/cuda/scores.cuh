// The screen: which columns can still be a row's best, by products of float16 rows and what they may be wrong by.
//
// Formula.  A row x' is kept as x' ~ s h (lead.cu): h in float16, bounds length >= |s h| and error >= |x' - s h|.
// cuBLAS multiplies the h on the tensor cores; with P ~ <h_r, h_c> in float32, estimate_rc = P s_r s_c + offset_c is
// within
//
//     slack_rc = error_r length_c + (length_r + error_r) error_c + rho length_r length_c
//                + 2^-19 |offset_c| + 2^-20 |offset_r| + 2^-30 own_r + tiny,      rho = (d + 64) 2^-22 + 2^-20
//
// of the true score, so that c can be r's best only if estimate_rc + slack_rc >= max_c (estimate_rc - slack_rc).
//
// 1. The first two terms: Cauchy and Schwarz for <x'_r, x'_c> - s_r s_c <h_r, h_c>.
// 2. rho: the product. Products of two float16 are exact. Tensor cores add groups of g = 4 to 16 of them to the running
//    sum: all g + 1 are shifted to the largest exponent among them and cut off after 23 bits or more, and so is the
//    result. No number among them exceeds S = sum_j |h_rj h_cj| by more than a trifle, so each cut costs at most 2^-23
//    S, a group (g + 2) 2^-23 S, and all l / g groups at most 1.5 l 2^-23 S, l <= d + 63. A sum in float32 in any order
//    costs d 2^-24 S; columns shared out among several blocks, a few 2^-23 S. (d + 64) 2^-22 S is above all of these,
//    and S <= |h_r| |h_c|. 2^-20 more covers the float32 arithmetic of the estimate.
// 3. Offsets are rounded to float32; 2^-30 own_r covers what the exact number errs by, (d + 4) 2^-53 of own_r, up to
//    65,536 columns; `tiny` what vanishes below the smallest numbers. The slack itself is raised by 2^-18.
// What is not finite gives a slack that is infinite or NaN; everything is compared so that NaN passes.
//
// Shapes.   products float32 [rows, pitch], a tile of them; terms float32 [n, 4] (see `Terms`).
// Bytes moved: 4 a pair written by cuBLAS, 4 read here; terms, 16 a column, from the first-level cache.
#pragma once
#include "exact.cuh"

// What is known of a row beside its h; in this order in memory.
struct alignas(16) Terms {
    float scale, length, error, offset;
};

__device__ inline const Terms* terms_of(const float* terms) { return (const Terms*)terms; }

__device__ inline double rounding_of(int d) { return (d + 64) * (1.0 / (1 << 22)) + 1.0 / (1 << 20); }

#define AHEAD 8  // numbers that a lane reads before it uses the first: what hides the way from memory

// This lane's products, every 32nd from `column` on; zeros from `stop` on.
__device__ inline void read_ahead(const float* products, int column, int stop, float (&out)[AHEAD]) {
#pragma unroll
    for (int i = 0; i < AHEAD; ++i) out[i] = column + 32 * i < stop ? products[column + 32 * i] : 0.0f;
}

// A row's side of the estimates: what each column's terms are multiplied with.
struct Side {
    float scale, by_length, by_error, least;
    __device__ Side(const Terms& row, double own, double tiny, int d) {
        const double up = 1.0 + 1.0 / (1 << 18), kept = row.length, lost = row.error;
        scale = row.scale;
        by_length = float((lost + rounding_of(d) * kept) * up);
        by_error = float((kept + lost) * up);
        least = float((own / (1 << 30) + fabs(double(row.offset)) / (1 << 20) + tiny) * up);
    }
    __device__ float estimate(float product, const Terms& column) const {
        return product * (scale * column.scale) + column.offset;
    }
    __device__ float slack(const Terms& column) const {
        return by_length * column.length + by_error * column.error + fabsf(column.offset) * (1.0f / (1 << 19)) + least;
    }
};

__device__ inline float warp_max(float x) {
    for (int step = 16; step; step /= 2) x = fmaxf(x, __shfl_xor_sync(ALL, x, step));
    return x;
}
