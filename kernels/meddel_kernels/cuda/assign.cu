// The nearest centroid of each row: float16 products by cuBLAS, float64 where they can't tell.
//
// Formula.  label_i = argmin_c sum_j (x_ij - c_j)^2, ties to the lowest index; the sum as exact.cuh has it.
//
// cuBLAS multiplies a tile of rows with all centroids. Then a warp takes a row, and goes through its k estimates once
// (see scores.cuh): the largest lower bound, and per lane the column with the greatest upper bound and the second
// greatest. Where one column alone can reach the largest lower bound it is the nearest, and the row itself is not read.
// Else the exact distance D to the most promising one raises the bar: with f^2 D^2 = |x'|^2 - 2 score, whoever can't
// reach (|x'|^2 - f^2 D^2) / 2 is out. The others' exact distances decide.
//
// Shapes.   x [n, d]; centroids float64 [k, d]; products float32 [n, pitch], the first k columns of each row; terms,
//           column_terms float32 [., 4] and square float64 [n] as in lead.cu; labels int32 [n].
// Contract. d up to 65,536. `vanished` is what a distance can lose below the smallest number, `tiny` its square in the
//           rows' scale.
// Bytes moved: 8 k a row (written by cuBLAS, read here); 2 l of h once; 4 d of x and 8 d of each centroid, for rows
//           that the product can't settle.
// Ladder:   an argmin of a float32 product reads the same n k numbers, and is not exact; a float64 product takes 16
//           times the time of a float16 one and more; 1 or 2 of k are candidates for rows as different as embeddings.
#include "scores.cuh"

extern "C" __global__ void __launch_bounds__(THREADS, 4)
assign(const ELEMENT* x, const double* centroids, const float* products, int pitch, const float* terms,
       const double* square, const float* column_terms, double factor, double vanished, double tiny, const int* cuts,
       int pieces, int n, int d, int k, int* labels) {
    if (ROW >= n) return;
    const Terms* columns = terms_of(column_terms);
    const Side side(terms_of(terms)[ROW], square[ROW], tiny, d);
    const float* own = products + size_t(ROW) * pitch;
    float floor = -FAR, greatest = -FAR, second = -FAR;
    int label = 0;
    for (int first = LANE; first < k; first += 32 * AHEAD) {
        float ahead[AHEAD];
        read_ahead(own, first, k, ahead);
#pragma unroll
        for (int i = 0; i < AHEAD; ++i) {
            const int column = first + 32 * i;
            if (column >= k) break;
            const Terms term = columns[column];
            const float estimate = side.estimate(ahead[i], term), slack = side.slack(term);
            const float sum = estimate + slack, upper = sum == sum ? sum : FAR;
            floor = fmaxf(floor, estimate - slack);
            second = fmaxf(second, fminf(upper, greatest));
            if (upper > greatest) {
                greatest = upper;
                label = column;
            }
        }
    }
    floor = warp_max(floor);
    const unsigned reaching = __ballot_sync(ALL, !(greatest < floor));
    const float highest = warp_max(greatest);
    const int promising = __shfl_sync(ALL, label, __ffs(__ballot_sync(ALL, greatest == highest)) - 1);
    if (!__any_sync(ALL, !(second < floor)) && __popc(reaching) == 1) {
        if (LANE == 0) labels[ROW] = promising;
        return;
    }
    const ELEMENT* row = x + size_t(ROW) * d;
    double nearest = exact_square(row, centroids + size_t(promising) * d, cuts, pieces);
    int winner = promising;
    double reach = (sqrt(nearest) * (1.0 + 1.0 / (1 << 30)) + vanished) * factor;
    double bar = 0.5 * (square[ROW] - reach * reach);
    for (int first = 0; first < k; first += 32) {
        const int column = first + LANE;
        float upper = 0.0f;
        if (column < k) upper = side.estimate(own[column], columns[column]) + side.slack(columns[column]);
        unsigned passed = __ballot_sync(ALL, column < k && column != promising && !(upper < floor) && !(upper < bar));
        while (passed) {
            const int other = first + __ffs(passed) - 1;
            const double value = exact_square(row, centroids + size_t(other) * d, cuts, pieces);
            if (value < nearest || (value == nearest && other < winner)) {
                nearest = value;
                winner = other;
                reach = (sqrt(value) * (1.0 + 1.0 / (1 << 30)) + vanished) * factor;
                bar = 0.5 * (square[ROW] - reach * reach);
            }
            passed &= passed - 1;
            passed &= __ballot_sync(ALL, !(upper < bar));
        }
    }
    if (LANE == 0) labels[ROW] = winner;
}
