// The step of k-means++ and of farthest-point: the squared distance to the nearest of the rows chosen so far.
//
// Formula.  squares_i = min(squares_i, sum_j (x_ij - y_j)^2), float64, in NumPy's order (see exact.cuh).
// Shapes.   x [n, d]; y [d], the chosen row, with own_h float16 [l], own_terms float32 [4], own_square float64 [1]; h,
//           terms, square of all rows (see lead.cu); squares float64 [n].
//
// The float16 rows bound the distance from below: f^2 |x - y|^2 >= |x'|^2 + |y'|^2 - 2 (s s <h, h> + slack), as in
// scores.cuh. Where even that is above what the row has, its d values are not read. `tiny` is what vanishes of the
// smallest numbers, at that scale.
// Bytes moved: 2 l + 32 a row, 4 d more for a row that may get nearer. A warp a row.
#include "scores.cuh"

#define ROUNDING (1.0 / (1 << 20))

struct alignas(4) Pair {
    half_bits first, second;
};

extern "C" __global__ void __launch_bounds__(THREADS)
min_distance(const ELEMENT* x, const ELEMENT* y, const half_bits* h, const float* terms, const double* square,
      const half_bits* own_h, const float* own_terms, const double* own_square, double factor, double tiny,
      const int* cuts, int pieces, int n, int d, int l, double* squares) {
    if (ROW >= n) return;
    const Terms row = terms_of(terms)[ROW], own = terms_of(own_terms)[0];
    const Pair* left = (const Pair*)(h + size_t(ROW) * l);
    const Pair* right = (const Pair*)own_h;
    float sum = 0.0f;
#pragma unroll 4
    for (int pair = LANE; pair < l / 2; pair += 32) {
        const Pair a = left[pair], b = right[pair];
        sum += widen_half(a.first) * widen_half(b.first) + widen_half(a.second) * widen_half(b.second);
    }
    const double product = warp_sum(double(sum)) * (double(row.scale) * own.scale);
    const double slack = double(row.error) * own.length + (double(row.length) + row.error) * own.error +
                         rounding_of(d) * row.length * own.length;
    const double both = square[ROW] + *own_square;
    const double least = both * (1.0 - ROUNDING) - 2.0 * (product + slack) - tiny;
    if (least > squares[ROW] * factor * factor) return;
    const double value = exact_square(x + size_t(ROW) * d, y, cuts, pieces);
    if (LANE == 0) squares[ROW] = fmin(squares[ROW], value);
}
