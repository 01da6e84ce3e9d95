// Facility location: how much each row, if it were chosen, would add to what its cluster's rows have.
//
// Formula.  gains_j = sum_i round(2^p max(0, <u_i, u_j> - best_i)) over all rows i of j's cluster, j too; int64. The
//           product as exact.cuh has it, clipped to [-1, 1]; the difference rounded to float64, then to a whole number,
//           ties to even. Whole numbers add up to the same in any order.
//
// A block takes 128 rows and up to 4,096 of their cluster before and among them: a pair's cosine is the same both ways,
// so half of the square is enough, and each pair adds to both its rows. The int8 product says which pairs may have a
// cosine above what either row has (see screen.cuh); those are written down, a bit each, and computed exactly, a warp a
// pair.
//
// Shapes.   as in row_max.cu; best float64 [n]; gains int64 [n], zeros at first.
// Bytes moved: see tile.cuh; 16 d for each pair that passes. As rows are chosen, best rises, and fewer pass.
// Ladder:   the float64 product of all pairs, 2 d operations each; half of it by symmetry; the screen leaves out
//           the pairs that add nothing.
#include "exact.cuh"
#include "screen.cuh"

__device__ inline unsigned long long gain_of(double cosine, double best, double scale) {
    return __double2ll_rn(__dmul_rn(fmax(0.0, __dsub_rn(cosine, best)), scale));
}

extern "C" __global__ void __launch_bounds__(THREADS, TOGETHER)
gains(const double* unit, const signed char* q, const float* scale, const float* offset, const float* slack,
      const int* work, const double* best, double power, double square_factor, const int* cuts, int pieces, int d,
      int l, unsigned long long* gains) {
    __shared__ Stage stage;
    __shared__ unsigned passed[TILE][TILE / 32];
    const int* item = work + 4 * blockIdx.x;
    const int start = item[0], rows = min(item[1] - start, TILE);
    for (int first = item[2]; first < item[3]; first += TILE) {
        const int columns = min(item[3] - first, TILE);
        for (int word = threadIdx.x; word < TILE * TILE / 32; word += THREADS) (&passed[0][0])[word] = 0;
        int sum[2][8][4];
        tile_product(q + size_t(start) * l, rows, q + size_t(first) * l, columns, l, stage, sum);
        each_entry(sum, [&](int row, int column, int entry) {
            if (row >= rows || column >= min(columns, start + row + 1 - first)) return;
            const int i = start + row, j = first + column;
            const float value = float(entry) * (scale[i] * scale[j]) + offset[j];
            const double upper = double(value) + offset[i] + slack[i];
            if (!(upper < square_factor * fmin(best[i], best[j])))
                atomicOr(&passed[row][column / 32], 1u << column % 32);
        });
        __syncthreads();
        for (int row = WARP; row < rows; row += WARPS) {
            const int i = start + row;
            unsigned long long own = 0;
            for (int word = 0; word < TILE / 32; ++word)
                for (unsigned bits = passed[row][word]; bits; bits &= bits - 1) {
                    const int j = first + 32 * word + __ffs(bits) - 1;
                    const double value = exact_cosine(unit + size_t(i) * d, unit + size_t(j) * d, cuts, pieces);
                    own += gain_of(value, best[j], power);
                    if (LANE == 0 && i != j) atomicAdd(gains + j, gain_of(value, best[i], power));
                }
            if (LANE == 0 && own) atomicAdd(gains + i, own);
        }
        __syncthreads();
    }
}
