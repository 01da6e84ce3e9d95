// The step of k-means++ and of farthest-point: the squared distance to the nearest of the rows chosen so far.
//
// Formula.  squares_i = min(squares_i, sum_j (x_ij - y_j)^2), float64, in NumPy's order (see exact.cuh).
// Shapes.   x [n, d]; y [d], the chosen row, with its lead (see lead.cu): own_q int8 [l] and own_scale, own_length,
//           own_error, own_square of one value each; the leads of all rows; squares float64 [n].
//
// The leads bound the distance from below: f^2 |x - y|^2 >= |x'|^2 + |y'|^2 - 2 (s s <q, q> + slack). Where even that
// is above what the row has, its d values are not read. `tiny` is what vanishes of the smallest numbers, at that scale.
// Bytes moved: l + 32 a row, 4 d more for a row that may get nearer. A warp a row.
#include "exact.cuh"

#define ROUNDING (1.0 / (1 << 20))

extern "C" __global__ void __launch_bounds__(THREADS)
lower(const ELEMENT* x, const ELEMENT* y, const signed char* q, const float* scale, const float* length,
      const float* error, const double* square, const signed char* own_q, const float* own_scale,
      const float* own_length, const float* own_error, const double* own_square, double factor, double tiny,
      const int* cuts, int pieces, int n, int d, int l, double* squares) {
    if (ROW >= n) return;
    int whole = 0;
    for (int word = LANE; word < l / 4; word += 32)
        whole = __dp4a(((const int*)(q + size_t(ROW) * l))[word], ((const int*)own_q)[word], whole);
    for (int step = 16; step; step /= 2) whole += __shfl_xor_sync(ALL, whole, step);
    const double slack = double(error[ROW]) * *own_length + (double(length[ROW]) + error[ROW]) * *own_error;
    const double both = square[ROW] + *own_square, half = double(scale[ROW]) * *own_scale * whole;
    const double least = both * (1.0 - ROUNDING) - 2.0 * (half + slack) - tiny;
    if (least > squares[ROW] * factor * factor) return;
    const double value = exact_square(x + size_t(ROW) * d, y, cuts, pieces);
    if (LANE == 0) squares[ROW] = fmin(squares[ROW], value);
}
