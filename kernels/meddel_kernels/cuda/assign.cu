// The nearest centroid of each row: int8 products on the tensor cores, float64 where they can't tell.
//
// Formula.  label_i = argmin_c sum_j (x_ij - c_j)^2, ties to the lowest index; the sum as exact.cuh has it.
//
// 1. `screen` multiplies 128 rows with all centroids, 128 at a time, and lists for each row the few centroids that can
//    still be the nearest (see screen.cuh). Nothing of n x k is stored.
// 2. `decide` takes a warp a row. Where one centroid is left, it is the nearest, and the row is not even read. Else the
//    exact distance D to the most promising one raises the bar: with f^2 D^2 = |x'|^2 - 2 score, whoever can't reach
//    (|x'|^2 - f^2 D^2) / 2 is out. The others' exact distances decide. Where more passed than the list holds, each
//    lane estimates every 32nd centroid again, and the same rules hold.
//
// Shapes.   x [n, d]; centroids float64 [k, d]; the leads of both: q int8 [., l], scale, offset, slack float32 [.],
//           square float64 [n]; best, count, listed, estimates as in screen.cuh; labels int32 [n].
// Contract. n and k below 2^31, d up to 65,536. `vanished` is what a distance can lose below the smallest number.
// Bytes moved: x's l int8 once and the centroids' k l once per 128 rows, from the second-level cache; 4 d of x and 8 d
//           of each centroid, for rows that one number can't settle.
// Ladder:   a float32 product and argmin moves n k float32 numbers twice; keeping the best in registers moves none of
//           them; int8 takes half the instructions of fp16, and the bound makes its answer that of float64.
#include "exact.cuh"
#include "screen.cuh"

extern "C" __global__ void __launch_bounds__(THREADS, TOGETHER)
screen(const signed char* q, const float* scale, const float* slack, const signed char* centroid_q,
       const float* centroid_scale, const float* centroid_offset, const int* work, int l, int* best, int* count,
       int* listed, float* estimates) {
    const Lead rows{q, scale, nullptr}, centroids{centroid_q, centroid_scale, centroid_offset};
    screen_range<false>(rows, slack, centroids, work + 4 * blockIdx.x, l, best, count, listed, estimates);
}

extern "C" __global__ void __launch_bounds__(THREADS, 3)
decide(const ELEMENT* x, const double* centroids, const signed char* q, const float* scale, const float* slack,
       const double* square, const signed char* centroid_q, const float* centroid_scale, const float* centroid_offset,
       const int* best, const int* count, const int* listed, const float* estimates, double factor, double vanished,
       const int* cuts, int pieces, int n, int d, int l, int k, int* labels) {
    if (ROW >= n) return;
    const Lead rows{q, scale, nullptr}, columns{centroid_q, centroid_scale, centroid_offset};
    const bool all = count[ROW] > LISTED;
    const int left = all ? k : count[ROW];
    const float top = float_of(best[ROW]), least = top - 2 * slack[ROW];
    double nearest = FAR, bar = -FAR;
    int label = -1;
    for (int first = 0; first < left; first += 32) {
        const bool inside = first + LANE < left;
        int centroid = first + LANE;
        float estimate = 0.0f;
        if (inside && all) estimate = estimate_of(rows, ROW, columns, centroid, l);
        if (inside && !all) {
            centroid = listed[size_t(ROW) * LISTED + LANE];
            estimate = estimates[size_t(ROW) * LISTED + LANE];
        }
        const double upper = double(estimate) + slack[ROW];
        unsigned passed = __ballot_sync(ALL, inside && !(estimate < least) && !(upper < bar));
        const unsigned promising = __ballot_sync(ALL, estimate == top);
        if (!all && __popc(passed) == 1) {
            label = __shfl_sync(ALL, centroid, __ffs(passed) - 1);
            break;
        }
        while (passed) {
            const int lane = __ffs(passed & promising ? passed & promising : passed) - 1;
            const int other = __shfl_sync(ALL, centroid, lane);
            const double value = exact_square(x + size_t(ROW) * d, centroids + size_t(other) * d, cuts, pieces);
            if (value < nearest || (value == nearest && other < label)) {
                nearest = value;
                label = other;
                const double reach = (sqrt(value) * (1.0 + 1.0 / (1 << 30)) + vanished) * factor;
                bar = 0.5 * (square[ROW] - reach * reach);
            }
            passed &= ~(1u << lane);
            passed &= __ballot_sync(ALL, !(upper < bar));
        }
    }
    if (LANE == 0) labels[ROW] = label;
}
