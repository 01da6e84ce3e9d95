// For each row the earliest row before it in its cluster whose cosine is above a threshold; only rows that stay, if
// greedy.
//
// Formula.  partner_j = min { i < j : <u_i, u_j> > t },  -1 where there is none; the product as exact.cuh has it,
//           clipped to [-1, 1]. Greedy: i counts only if its own partner is -1.
//
// cuBLAS multiplies tiles of rows with tiles of earlier ones, in their order. `search` takes a warp a row that has no
// partner yet, and goes through the tile in order: an estimate that is above the threshold by more than it can be wrong
// is certain (see scores.cuh), one as far below is out, and the others are computed exactly. The first is the partner.
//
// Not greedy, that is all. Greedy, whether i counts must be known before j asks: `search` looks at the rows before the
// panel (up to 1,024 rows), which are decided; then `within` writes down which rows of the panel are above which, a bit
// each, and `settle`, one warp, goes through them: lane w holds which of the rows 32 w to 32 w + 31 stay.
//
// A row that equals an earlier one (`twin`, see equal.cu) can be no partner: the earlier one comes first; if that has
// gone, so has this one.
//
// Shapes.   as in top_neighbours.cu; partner int32 [n], -1 at first; above int32 [panel, 32].
// Bytes moved: 8 a pair (see scores.cuh); of rows that find a partner early, 4 after that; 16 d for each exact cosine.
// Ladder:   all pairs; half of the square, by the order; rows that have found a partner are not looked at again.
#include "scores.cuh"

struct Pair {
    bool above, unsure;
};

__device__ inline Pair judged(const Side& side, float product, const Terms& column, double bar) {
    const float estimate = side.estimate(product, column), slack = side.slack(column);
    const bool above = estimate - slack > bar;
    return {above, !above && estimate + slack >= bar};
}

extern "C" __global__ void __launch_bounds__(THREADS, 4)
search(const double* unit, const float* products, int pitch, const float* terms, const signed char* twin,
       const int* begin, double threshold, double square_factor, double tiny, int greedy, const int* cuts, int pieces,
       int start, int rows, int first, int columns, int d, int* partner) {
    if (ROW >= rows || partner[start + ROW] >= 0) return;
    const int row = start + ROW, from = max(begin[row], first), to = min(row, first + columns);
    const Terms* all = terms_of(terms);
    const Side side(all[row], 1.0, tiny, d);
    const float* own = products + size_t(ROW) * pitch;
    const double bar = square_factor * threshold - all[row].offset;
    for (int next = from; next < to; next += 32 * AHEAD) {
        float ahead[AHEAD];
        read_ahead(own, next + LANE - first, to - first, ahead);
#pragma unroll
        for (int i = 0; i < AHEAD; ++i) {
            const int column = next + 32 * i + LANE;
            Pair pair{false, false};
            if (column < to) pair = judged(side, ahead[i], all[column], bar);
            bool counts = pair.above || pair.unsure;
            if (counts) counts = !twin[column] && (!greedy || partner[column] < 0);
            const unsigned certain = __ballot_sync(ALL, pair.above);
            unsigned left = __ballot_sync(ALL, counts);
            for (; left; left &= left - 1) {
                const int bit = __ffs(left) - 1, other = next + 32 * i + bit;
                const double* theirs = unit + size_t(other) * d;
                if (certain >> bit & 1 || exact_cosine(unit + size_t(row) * d, theirs, cuts, pieces) > threshold) {
                    if (LANE == 0) partner[row] = other;
                    return;
                }
            }
        }
    }
}

extern "C" __global__ void __launch_bounds__(THREADS, 4)
within(const double* unit, const float* products, int pitch, const float* terms, const signed char* twin,
       const int* begin, double threshold, double square_factor, double tiny, const int* cuts, int pieces, int start,
       int rows, int d, const int* partner, int* above) {
    if (ROW >= rows) return;
    const int row = start + ROW;
    const Terms* all = terms_of(terms);
    const Side side(all[row], 1.0, tiny, d);
    const double bar = square_factor * threshold - all[row].offset;
    int own_word = 0;
    for (int word = 0; word < 32 && partner[row] < 0 && start + 32 * word < row; ++word) {
        const int column = start + 32 * word + LANE;
        Pair pair{false, false};
        if (column >= begin[row] && column < row && !twin[column] && partner[column] < 0)
            pair = judged(side, products[size_t(ROW) * pitch + column - start], all[column], bar);
        unsigned bits = __ballot_sync(ALL, pair.above);
        for (unsigned left = __ballot_sync(ALL, pair.unsure); left; left &= left - 1) {
            const int bit = __ffs(left) - 1;
            const double* theirs = unit + size_t(start + 32 * word + bit) * d;
            if (exact_cosine(unit + size_t(row) * d, theirs, cuts, pieces) > threshold) bits |= 1u << bit;
        }
        if (LANE == word) own_word = int(bits);
    }
    above[32 * ROW + LANE] = own_word;
}

extern "C" __global__ void __launch_bounds__(THREADS)
settle(const int* above, int start, int rows, int* partner) {
    if (WARP) return;
    unsigned stays = 0;
    for (int first = 0; first < rows; first += 8) {
        unsigned word[8];
        bool open[8];
#pragma unroll
        for (int i = 0; i < 8; ++i) {
            const bool inside = first + i < rows;
            word[i] = inside ? unsigned(above[32 * (first + i) + LANE]) : 0;
            open[i] = inside && partner[start + first + i] < 0;
        }
#pragma unroll
        for (int i = 0; i < 8; ++i) {
            const int row = first + i;
            const unsigned hit = open[i] ? word[i] & stays : 0, lanes = __ballot_sync(ALL, hit != 0);
            if (LANE == __ffs(lanes) - 1) partner[start + row] = start + 32 * LANE + __ffs(hit) - 1;
            if (open[i] && !lanes && LANE == row / 32) stays |= 1u << row % 32;
        }
    }
}
