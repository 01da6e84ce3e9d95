// For each row the m greatest cosines to other rows of its cluster, and which rows those are; row-max with m = 1.
//
// Formula.  The m greatest <u_i, u_j>, i != j, over the unit rows u of a cluster, falling, ties to the earlier i; the
//           product as exact.cuh has it, clipped to [-1, 1]. Where `stop` is null, i < j only.
//
// cuBLAS multiplies tiles of rows with tiles of their clusters' rows; a launch takes one tile, and the m best so far
// are kept between tiles. A warp takes a row, and goes through its estimates once (see scores.cuh). Each lane finds its
// largest lower bound; up to m = 32, the m-th largest of the 32 is one that m columns reach. Whoever can reach it and,
// in score, the m-th cosine so far, f^2 <u_i, u_j> = score + h_j (see lead.cu), is computed exactly and put in its
// place. Each lane also knows its greatest and its second greatest upper bound: where no second one can reach, the
// greatest ones are all there is, mostly none; else the warp goes through the estimates again.
//
// Before a row (`stop` null), of equal rows only the first can be a partner, as ties go to it: `twin` marks the others
// (see equal.cu).
//
// Shapes.   unit float64 [n, d]; products float32 [rows, pitch]; terms float32 [n, 4]; twin int8 [n], or null; begin,
//           stop int32 [n], where each row's cluster starts and stops; the tile: rows from `start`, `columns` from
//           `first`; cosine float64 [n, m], -infinity at first; neighbour int32 [n, m], -1 at first.
// Bytes moved: 8 a pair (see scores.cuh); 16 d for each exact cosine, some m (1 + log of the number of tiles) a row.
// Ladder:   sorting whole rows of the matrix of cosines moves it several times; here each tile is read once.
#include "scores.cuh"

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

// The m-th largest of the lanes' values.
__device__ float mth_of_lanes(float value, int m) {
    int rank = 0;
    for (int lane = 0; lane < 32; ++lane) {
        const float other = __shfl_sync(ALL, value, lane);
        rank += other > value || (other == value && lane < LANE);
    }
    return __shfl_sync(ALL, value, __ffs(__ballot_sync(ALL, rank == m - 1)) - 1);
}

extern "C" __global__ void __launch_bounds__(THREADS, 4)
top_neighbours(const double* unit, const float* products, int pitch, const float* terms, const signed char* twin,
               const int* begin, const int* stop, double square_factor, double tiny, const int* cuts, int pieces, int
               start, int rows, int first, int columns, int d, int m, double* cosine, int* neighbour) {
    if (ROW >= rows) return;
    const int row = start + ROW;
    const int from = max(begin[row], first), to = min(stop ? stop[row] : row, first + columns);
    if (from >= to) return;
    const Terms* all = terms_of(terms);
    const Side side(all[row], 1.0, tiny, d);
    const float* own = products + size_t(ROW) * pitch;
    double* best = cosine + size_t(row) * m;
    float lower = -FAR, greatest = -FAR, second = -FAR;
    int whose = from;
    for (int next = from + LANE; next < to; next += 32 * AHEAD) {
        float ahead[AHEAD];
        read_ahead(own, next - first, to - first, ahead);
#pragma unroll
        for (int i = 0; i < AHEAD; ++i) {
            const int column = next + 32 * i;
            if (column >= to) break;
            if (column == row) continue;
            const Terms term = all[column];
            const float estimate = side.estimate(ahead[i], term), slack = side.slack(term), upper = estimate + slack;
            lower = fmaxf(lower, estimate - slack);
            second = fmaxf(second, fminf(upper, greatest));
            if (upper > greatest) {
                greatest = upper;
                whose = column;
            }
        }
    }
    const double offset = all[row].offset, floor = m > 32 ? -FAR : m > 1 ? mth_of_lanes(lower, m) : warp_max(lower);
    double bar = fmax(floor, square_factor * best[m - 1] - offset);
    const bool again = __any_sync(ALL, second > -FAR && second >= bar);
    for (int next = from; next < to; next += 32) {
        const int column = again ? next + LANE : whose;
        double upper = again ? -FAR : greatest;
        if (again && column < to && column != row)
            upper = side.estimate(own[column - first], all[column]) + side.slack(all[column]);
        unsigned passed = __ballot_sync(ALL, upper > -FAR && upper >= bar && !(twin && twin[column]));
        while (passed) {
            const int other = __shfl_sync(ALL, column, __ffs(passed) - 1);
            const double value = exact_cosine(unit + size_t(row) * d, unit + size_t(other) * d, cuts, pieces);
            insert(best, neighbour + size_t(row) * m, m, value, other);
            bar = fmax(floor, square_factor * best[m - 1] - offset);
            passed &= passed - 1;
            passed &= __ballot_sync(ALL, upper >= bar);
        }
        if (!again) break;
    }
}
