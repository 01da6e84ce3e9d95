// For each row the earliest row before it in its cluster whose cosine is above a threshold; only rows that stay, if
// greedy.
//
// Formula.  partner_j = min { i < j : <u_i, u_j> > t },  -1 where there is none; the product as exact.cuh has it,
//           clipped to [-1, 1]. Greedy: i counts only if its own partner is -1.
//
// `screen` takes 128 rows and a range of earlier ones, in their order. An estimate that is above the threshold by more
// than it can be wrong is certain; one that is as far below is out; the rest is listed, if it comes before the earliest
// certain one. A block stops when all its rows have their partner. `settle` computes the listed ones exactly, a warp a
// row.
//
// Not greedy, that is all, and all clusters go in one launch. Greedy, whether i counts must be known before j asks. So
// the clusters advance together, 128 rows at a time: `screen` and `settle` look at the rows of the panels before, which
// are decided; then `panel` writes down which rows of the panel are above which, a bit each, and goes through them.
//
// A row that equals an earlier one can be no partner (the earlier one comes first; if that has gone, so has this one),
// so its offset is -infinity, as in row_max.cu.
//
// Shapes.   as in row_max.cu; found int32 [n], the earliest certain partner, 2^31 - 1 at first; partner int32 [n], -1
//           at first; work int32 [items, 4]; rows int32 [m], those to settle; stop int32 [n], before which row to look.
// Bytes moved: see tile.cuh; with early ends, for near twins, a fraction of it.
// Ladder:   all pairs; half of the square, by the order; of rows that find a partner early, no more than until then.
#include "exact.cuh"
#include "screen.cuh"

#define NONE 0x7fffffff

// What an estimate must be above: f^2 <u_i, u_j> = score + h_j.
__device__ inline float bar_of(double threshold, double square_factor, float own_offset) {
    return float(square_factor * threshold - own_offset);
}

extern "C" __global__ void __launch_bounds__(THREADS, TOGETHER)
screen(const signed char* q, const float* scale, const float* offset, const float* own_offset, const float* slack,
       const int* work, double threshold, double square_factor, int greedy, int l, const int* partner, int* found,
       int* count, int* listed, float* estimates) {
    __shared__ Stage stage;
    __shared__ int earliest[TILE];
    __shared__ float bar[TILE], wrong[TILE], step[TILE], column_scale[TILE], column_offset[TILE];
    const int* item = work + 4 * blockIdx.x;
    const int start = item[0], rows = min(item[1] - start, TILE), thread = threadIdx.x;
    if (thread < rows) {
        earliest[thread] = found[start + thread];
        bar[thread] = bar_of(threshold, square_factor, own_offset[start + thread]);
        wrong[thread] = slack[start + thread];
        step[thread] = scale[start + thread];
    }
    for (int first = item[2]; first < item[3]; first += TILE) {
        const int columns = min(item[3] - first, TILE);
        if (thread < columns) {
            const bool counts = !greedy || partner[first + thread] < 0;
            column_scale[thread] = scale[first + thread];
            column_offset[thread] = counts ? offset[first + thread] : -FAR;
        }
        int sum[2][8][4];
        tile_product(q + size_t(start) * l, rows, q + size_t(first) * l, columns, l, stage, sum);
        each_entry(sum, [&](int row, int column, int& entry) {
            if (row >= rows || column >= min(columns, start + row - first)) return;
            const float value = float(entry) * (step[row] * column_scale[column]) + column_offset[column];
            entry = __float_as_int(value);
            if (value - wrong[row] > bar[row]) atomicMin(&earliest[row], first + column);
        });
        __syncthreads();
        each_entry(sum, [&](int row, int column, int entry) {
            if (row >= rows || column >= min(columns, start + row - first) || first + column >= earliest[row]) return;
            const float value = __int_as_float(entry);
            if (value + wrong[row] < bar[row]) return;
            const int slot = atomicAdd(&count[start + row], 1);
            if (slot >= LISTED) return;
            listed[size_t(start + row) * LISTED + slot] = first + column;
            estimates[size_t(start + row) * LISTED + slot] = value;
        });
        if (!__syncthreads_or(thread < rows && earliest[thread] == NONE)) break;
    }
    if (thread < rows) atomicMin(&found[start + thread], earliest[thread]);
}

extern "C" __global__ void __launch_bounds__(THREADS, 3)
settle(const double* unit, const signed char* q, const float* scale, const float* offset, const float* own_offset,
       const float* slack, const int* begin, const int* stop, const int* rows, const int* found, const int* count,
       const int* listed, const float* estimates, double threshold, double square_factor, int greedy, const int* cuts,
       int pieces, int m, int d, int l, int* partner) {
    if (ROW >= m) return;
    const Lead leads{q, scale, offset};
    const int row = rows[ROW], start = begin[row];
    const bool all = count[row] > LISTED;
    const int left = all ? stop[row] - start : count[row];
    const double bar = bar_of(threshold, square_factor, own_offset[row]);
    int earliest = found[row];
    for (int first = 0; first < left; first += 32) {
        const bool inside = first + LANE < left;
        int earlier = start + first + LANE;
        float estimate = 0.0f;
        if (all && start + first >= earliest) break;
        if (inside && all) estimate = estimate_of(leads, row, leads, earlier, l);
        if (inside && !all) {
            earlier = listed[size_t(row) * LISTED + LANE];
            estimate = estimates[size_t(row) * LISTED + LANE];
        }
        const bool counts = inside && (!greedy || partner[earlier] < 0);
        unsigned passed = __ballot_sync(ALL, counts && earlier < earliest && !(double(estimate) + slack[row] < bar));
        while (passed) {
            const int lane = __ffs(passed) - 1, other = __shfl_sync(ALL, earlier, lane);
            const double value = exact_cosine(unit + size_t(row) * d, unit + size_t(other) * d, cuts, pieces);
            if (value > threshold) earliest = other;
            passed &= ~(1u << lane);
            passed &= __ballot_sync(ALL, earlier < earliest);
        }
    }
    if (LANE == 0 && earliest != NONE) partner[row] = earliest;
}

extern "C" __global__ void __launch_bounds__(THREADS, TOGETHER)
panel(const double* unit, const signed char* q, const float* scale, const float* offset, const float* own_offset,
      const float* slack, const int* panels, double threshold, double square_factor, const int* cuts, int pieces, int d,
      int l, int* partner) {
    __shared__ Stage stage;
    __shared__ unsigned above[TILE][TILE / 32], unsure[TILE][TILE / 32];
    const int start = panels[4 * blockIdx.x], rows = panels[4 * blockIdx.x + 1] - start;
    for (int word = threadIdx.x; word < TILE * TILE / 32; word += THREADS)
        (&above[0][0])[word] = (&unsure[0][0])[word] = 0;
    int sum[2][8][4];
    tile_product(q + size_t(start) * l, rows, q + size_t(start) * l, rows, l, stage, sum);
    each_entry(sum, [&](int row, int column, int entry) {
        if (row >= rows || column >= row || partner[start + row] >= 0 || partner[start + column] >= 0) return;
        const float value = float(entry) * (scale[start + row] * scale[start + column]) + offset[start + column];
        const float wrong = slack[start + row], bar = bar_of(threshold, square_factor, own_offset[start + row]);
        if (value - wrong > bar)
            atomicOr(&above[row][column / 32], 1u << column % 32);
        else if (!(value + wrong < bar))
            atomicOr(&unsure[row][column / 32], 1u << column % 32);
    });
    __syncthreads();
    for (int row = WARP; row < rows; row += WARPS)
        for (int word = 0; word < TILE / 32; ++word)
            for (unsigned bits = unsure[row][word]; bits; bits &= bits - 1) {
                const int bit = __ffs(bits) - 1, column = 32 * word + bit;
                const double* other = unit + size_t(start + column) * d;
                const double value = exact_cosine(unit + size_t(start + row) * d, other, cuts, pieces);
                if (value > threshold && LANE == 0) above[row][word] |= 1u << bit;
            }
    __syncthreads();
    if (threadIdx.x) return;
    unsigned stays[TILE / 32] = {0, 0, 0, 0};
    for (int row = 0; row < rows; ++row) {
        if (partner[start + row] >= 0) continue;
        int other = -1;
        for (int word = TILE / 32 - 1; word >= 0; --word)
            if (above[row][word] & stays[word]) other = 32 * word + __ffs(above[row][word] & stays[word]) - 1;
        if (other >= 0) partner[start + row] = start + other;
#pragma unroll
        for (int word = 0; word < TILE / 32; ++word)
            if (other < 0 && word == row / 32) stays[word] |= 1u << row % 32;
    }
}
