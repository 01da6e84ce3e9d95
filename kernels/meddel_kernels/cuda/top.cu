// For each row the m greatest cosines to other rows of its cluster, and which rows those are.
//
// Formula.  The m greatest <u_i, u_j>, i != j, over the unit rows u of a cluster, descending, ties to the earlier i;
//           the product as exact.cuh has it, clipped to [-1, 1].
//
// `screen` takes 128 rows and all of their cluster, 128 at a time. Once a row has seen m others, whoever's estimate
// lies more than twice the slack below the m-th largest one can't be among the m (see screen.cuh). The others are
// listed. When a row's list may not take 128 more, its warp finds the m-th largest estimate in it, and drops what lies
// too far below. `decide` takes a warp a row: those up to the m-th largest estimate first, and then those that can
// still be above the exact m-th cosine; each is computed exactly and put in its place. Where too many are too close for
// the list, every row of the cluster is estimated again.
//
// Shapes.   as in row_max.cu; room: of a list, a multiple of 32 and at least m + 256; listed int32, estimates float32
//           [n, room]; count int32 [n], `room` + 1 for a list that was too short; least float32 [n]: at most the m-th
//           largest estimate; cosine float64 [n, m], -infinity at first; neighbour int32 [n, m], -1 at first.
// Bytes moved: see tile.cuh; 8 for each listed one; 16 d for each exact cosine, some m a row.
// Ladder:   sorting whole rows of the matrix of cosines moves it several times; a list of m + 256 stays in cache.
#include "exact.cuh"
#include "screen.cuh"

// The m-th largest of so many estimates, by a warp: the largest number that at least m of them reach, bit by bit.
__device__ float mth_largest(const float* estimates, int count, int m) {
    unsigned found = 0;
    for (unsigned bit = 1u << 31; bit; bit /= 2) {
        const unsigned asked = found | bit;
        int reach = 0;
        for (int first = 0; first < count; first += 32) {
            const bool inside = first + LANE < count;
            const unsigned key = inside ? unsigned(ordered_of(estimates[first + LANE])) ^ (1u << 31) : 0;
            reach += __popc(__ballot_sync(ALL, inside && key >= asked));
        }
        if (reach >= m) found = asked;
    }
    return float_of(int(found ^ (1u << 31)));
}

// Drop from a list what is below `least`, by a warp; returns how many are left.
__device__ int compacted(int* listed, float* estimates, int count, float least) {
    int left = 0;
    for (int first = 0; first < count; first += 32) {
        const bool inside = first + LANE < count;
        const float estimate = inside ? estimates[first + LANE] : 0.0f;
        const int row = inside ? listed[first + LANE] : 0;
        const unsigned kept = __ballot_sync(ALL, inside && !(estimate < least));
        const int place = left + __popc(kept & ((1u << LANE) - 1));
        if (kept >> LANE & 1) {
            listed[place] = row;
            estimates[place] = estimate;
        }
        left += __popc(kept);
        __syncwarp();
    }
    return left;
}

extern "C" __global__ void __launch_bounds__(THREADS, TOGETHER)
screen(const signed char* q, const float* scale, const float* offset, const float* slack, const int* work, int m,
       int room, int l, int* count, int* listed, float* estimates, float* least) {
    __shared__ Stage stage;
    __shared__ int many[TILE];
    __shared__ float lowest[TILE], step[TILE], column_scale[TILE], column_offset[TILE];
    const int* item = work + 4 * blockIdx.x;
    const int start = item[0], rows = item[1] - start, thread = threadIdx.x;
    if (thread < rows) {
        many[thread] = 0;
        lowest[thread] = -FAR;
        step[thread] = scale[start + thread];
    }
    for (int first = item[2]; first < item[3]; first += TILE) {
        const int columns = min(item[3] - first, TILE);
        if (thread < columns) {
            column_scale[thread] = scale[first + thread];
            column_offset[thread] = offset[first + thread];
        }
        int sum[2][8][4];
        tile_product(q + size_t(start) * l, rows, q + size_t(first) * l, columns, l, stage, sum);
        each_entry(sum, [&](int row, int column, int entry) {
            if (row >= rows || column >= columns || first + column == start + row) return;
            const float value = float(entry) * (step[row] * column_scale[column]) + column_offset[column];
            if (value < lowest[row] - 2 * slack[start + row]) return;
            const int slot = atomicAdd(&many[row], 1);
            if (slot >= room) return;
            listed[size_t(start + row) * room + slot] = first + column;
            estimates[size_t(start + row) * room + slot] = value;
        });
        __syncthreads();
        for (int row = WARP; row < rows; row += WARPS) {
            const int before = many[row];
            if (before <= room - TILE || before > room) continue;
            int* own = listed + size_t(start + row) * room;
            float* values = estimates + size_t(start + row) * room;
            const float mth = mth_largest(values, before, m);
            const int left = compacted(own, values, before, mth - 2 * slack[start + row]);
            __syncwarp();
            if (LANE == 0) {
                lowest[row] = mth;
                many[row] = left > room - TILE ? room + 1 : left;
            }
        }
        __syncthreads();
    }
    if (thread < rows) {
        count[start + thread] = min(many[thread], room + 1);
        least[start + thread] = lowest[thread];
    }
}

// Put a neighbour into its place among the m of a row, by a warp.
__device__ void insert(double* cosine, int* neighbour, int m, double value, int row) {
    int rank = 0;
    for (int first = 0; first < m; first += 32) {
        const int at = first + LANE;
        const bool better = at < m && (cosine[at] > value || (cosine[at] == value && neighbour[at] < row));
        rank += __popc(__ballot_sync(ALL, better));
    }
    if (rank >= m) return;
    for (int first = (m - 1) / 32 * 32; first > rank - 32; first -= 32) {
        const int at = first + LANE;
        const bool moves = at > rank && at < m;
        const double before = moves ? cosine[at - 1] : 0.0;
        const int whose = moves ? neighbour[at - 1] : 0;
        __syncwarp();
        if (moves) {
            cosine[at] = before;
            neighbour[at] = whose;
        }
        if (at == rank) {
            cosine[at] = value;
            neighbour[at] = row;
        }
        __syncwarp();
    }
}

extern "C" __global__ void __launch_bounds__(THREADS, 3)
decide(const double* unit, const signed char* q, const float* scale, const float* offset, const float* slack,
       const int* begin, const int* stop, const int* count, const int* listed, const float* estimates,
       const float* least, double square_factor, const int* cuts, int pieces, int n, int d, int l, int m, int room,
       double* cosine, int* neighbour) {
    if (ROW >= n) return;
    const Lead rows{q, scale, offset};
    const bool all = count[ROW] > room;
    const int start = begin[ROW], left = all ? stop[ROW] - start : count[ROW];
    const int* own = listed + size_t(ROW) * room;
    const float* values = estimates + size_t(ROW) * room;
    double* best = cosine + size_t(ROW) * m;
    float mth = least[ROW];
    if (!all && left >= m) mth = mth_largest(values, left, m);
    double bar = -FAR;
    for (int likely = all ? 0 : 1; likely >= 0; --likely)
        for (int first = 0; first < left; first += 32) {
            int other = start + first + LANE;
            const bool inside = first + LANE < left && !(all && other == ROW);
            float estimate = 0.0f;
            if (inside && all) estimate = estimate_of(rows, ROW, rows, other, l);
            if (inside && !all) {
                other = own[first + LANE];
                estimate = values[first + LANE];
            }
            const double upper = double(estimate) + slack[ROW];
            const bool now = all || (estimate >= mth) == bool(likely);
            unsigned passed = __ballot_sync(
                ALL, inside && now && !(estimate < mth - 2 * slack[ROW]) && !(upper < bar));
            while (passed) {
                const int lane = __ffs(passed) - 1, row = __shfl_sync(ALL, other, lane);
                const double value = exact_cosine(unit + size_t(ROW) * d, unit + size_t(row) * d, cuts, pieces);
                insert(best, neighbour + size_t(ROW) * m, m, value, row);
                bar = square_factor * best[m - 1] - offset[ROW];
                passed &= ~(1u << lane);
                passed &= __ballot_sync(ALL, !(upper < bar));
            }
        }
}
