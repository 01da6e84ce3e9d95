// The squared distance of each row to its centroid.
//
// Formula.  out_i = sum_j (x_ij - c_(label_i) j)^2, float64, in NumPy's order (see exact.cuh).
// Shapes.   x [n, d]; centroids float64 [k, d]; labels int32 [n]; out float64 [n]. A warp a row.
// Bytes moved: x once; 8 d of a centroid a row, from the second-level cache while k d is below some 5 million.
#include "exact.cuh"

extern "C" __global__ void __launch_bounds__(THREADS)
squares(const ELEMENT* x, const double* centroids, const int* labels, const int* cuts, int pieces, int n, int d,
        double* out) {
    if (ROW >= n) return;
    const double* centroid = centroids + size_t(labels[ROW]) * d;
    const double value = exact_square(x + size_t(ROW) * d, centroid, cuts, pieces);
    if (LANE == 0) out[ROW] = value;
}
