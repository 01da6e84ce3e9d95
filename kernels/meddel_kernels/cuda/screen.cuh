// The screen: which columns can still be a row's best, by int8 products and what they may be wrong by.
//
// Formula.  With leads as in lead.cu, estimate_rc = s_r s_c <q_r, q_c> + offset_c is within slack_r of the true score:
//
//     slack_r = e_r L + (|s_r q_r| + e_r) E + 2^-20 (|s_r q_r| L + H) + 2^-30 own_r + tiny
//
// L, E, H are the columns' largest |s q|, e and |offset|. The third term covers float32 (a few times 2^-24 of what is
// added up, fused or not); the fourth what the exact number errs by, d 2^-53 of own_r, up to d = 65,536: two columns
// that far apart can't be equal or swapped in float64 either; `tiny` what vanishes below the smallest numbers.
// (slack.cu computes it.) So c can be r's best only if estimate_rc + slack_r >= max_c (estimate_rc - slack_r).
//
// A block takes 128 rows and a range of columns, 128 at a time. It keeps each row's largest estimate so far, and writes
// down the columns within twice the slack of it: up to LISTED a row, and how many there were. The largest estimate so
// far is at most the final one, so that no column is missed; who comes later sorts out those it has overtaken.
// Everything is compared so that NaN passes.
//
// Shapes.   work int32 [items, 4]: rows from, to, columns from, to. best int32 [n] (`ordered`, the lowest at first),
//           count int32 [n] (0 at first), listed int32 and estimates float32 [n, LISTED].
// Bytes moved for each 128 x 128: see tile.cuh; the n x k estimates are never stored.
#pragma once
#include "tile.cuh"

#define LISTED 32  // a lane of the warp that decides holds one

// Rows that lead.cu prepared.
struct Lead {
    const signed char* q;
    const float* scale;
    const float* offset;
};

// The estimate of one pair by one thread, for rows too many columns of which passed to be listed.
__device__ inline float estimate_of(const Lead& a, int row, const Lead& b, int column, int l) {
    const int4* left = (const int4*)(a.q + size_t(row) * l);
    const int4* right = (const int4*)(b.q + size_t(column) * l);
    int sum = 0;
    for (int word = 0; word < l / 16; ++word) {
        sum = __dp4a(left[word].x, right[word].x, sum);
        sum = __dp4a(left[word].y, right[word].y, sum);
        sum = __dp4a(left[word].z, right[word].z, sum);
        sum = __dp4a(left[word].w, right[word].w, sum);
    }
    return float(sum) * (a.scale[row] * b.scale[column]) + b.offset[column];
}

// EARLIER: rows and columns are one matrix, and only columns before the row count.
template <bool EARLIER>
__device__ void screen_range(
    const Lead& a, const float* slack, const Lead& b, const int* work, int l, int* best, int* count, int* listed,
    float* estimates) {
    __shared__ Stage stage;
    __shared__ int top[TILE];
    __shared__ float scale[TILE], offset[TILE];
    const int start = work[0], rows = min(work[1] - start, TILE), thread = threadIdx.x;
    if (thread < rows) top[thread] = best[start + thread];
    for (int first = work[2]; first < work[3]; first += TILE) {
        const int columns = min(work[3] - first, TILE);
        if (thread < columns) {
            scale[thread] = b.scale[first + thread];
            offset[thread] = b.offset[first + thread];
        }
        int sum[2][8][4];
        tile_product(a.q + size_t(start) * l, rows, b.q + size_t(first) * l, columns, l, stage, sum);
#pragma unroll
        for (int i = 0; i < 2; ++i)
#pragma unroll
            for (int h = 0; h < 2; ++h) {
                const int row = Place::row(i, h);
                const int last = EARLIER ? min(columns, start + row - first) : columns;
                const float step = row < rows ? a.scale[start + row] : 0.0f;
                float most = -FAR;
#pragma unroll
                for (int j = 0; j < 8; ++j)
#pragma unroll
                    for (int e = 0; e < 2; ++e) {
                        const int column = Place::column(j, e);
                        if (column >= last) continue;
                        const float value = float(sum[i][j][2 * h + e]) * (step * scale[column]) + offset[column];
                        sum[i][j][2 * h + e] = __float_as_int(value);
                        most = fmaxf(most, value);
                    }
                most = fmaxf(most, __shfl_xor_sync(ALL, most, 1));
                most = fmaxf(most, __shfl_xor_sync(ALL, most, 2));
                if (LANE % 4 == 0 && row < rows) atomicMax(&top[row], ordered_of(most));
            }
        __syncthreads();
        each_entry(sum, [&](int row, int column, int entry) {
            const int last = EARLIER ? min(columns, start + row - first) : columns;
            const float value = __int_as_float(entry);
            if (row >= rows || column >= last || value < float_of(top[row]) - 2 * slack[start + row]) return;
            const int slot = atomicAdd(&count[start + row], 1);
            if (slot >= LISTED) return;
            listed[size_t(start + row) * LISTED + slot] = first + column;
            estimates[size_t(start + row) * LISTED + slot] = value;
        });
    }
    __syncthreads();
    if (thread < rows) atomicMax(&best[start + thread], top[thread]);
}
