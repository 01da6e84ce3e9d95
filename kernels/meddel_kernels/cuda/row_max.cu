// For each row the greatest cosine to an earlier row of its cluster, and which row that is; all clusters in one launch.
//
// Formula.  M_j = max_{i < j} <u_i, u_j> over the unit rows u of a cluster in its order, ties to the earliest i; the
//           product as exact.cuh has it, clipped to [-1, 1].
//
// The rows lie cluster after cluster. 1. `screen` takes 128 rows and up to 4,096 earlier ones of their cluster: half of
// the square is not computed, and a large cluster is shared out among many blocks, the longest pieces of work first. It
// lists the rows that can be the partner (see screen.cuh). 2. `decide` takes a warp a row: the exact cosine of the most
// promising one raises the bar for the others, f^2 <u_i, u_j> = score + h_j (see lead.cu); exact ones decide.
//
// Of equal rows only the first can be a partner, as ties go to it: the others' offset is -infinity (see equal.cu).
//
// Shapes.   unit float64 [n, d]; q int8 [n, l]; scale, offset, own_offset (before the mask), slack float32 [n]; work
//           int32 [items, 4]; first int32 [n], where each row's cluster starts; cosine float64, partner int32 [n],
//           -infinity and -1 at first. Bytes moved: see tile.cuh; 16 d for each cosine that is computed exactly.
// Ladder:   the whole matrix of cosines moves 16 bytes an entry; triangular tiles in registers move none of it; int8
//           takes half the instructions of fp16, and what it can't tell, float64 decides.
#include "exact.cuh"
#include "screen.cuh"

extern "C" __global__ void __launch_bounds__(THREADS, TOGETHER)
screen(const signed char* q, const float* scale, const float* offset, const float* slack, const int* work, int l,
       int* best, int* count, int* listed, float* estimates) {
    const Lead rows{q, scale, offset};
    screen_range<true>(rows, slack, rows, work + 4 * blockIdx.x, l, best, count, listed, estimates);
}

extern "C" __global__ void __launch_bounds__(THREADS, 3)
decide(const double* unit, const signed char* q, const float* scale, const float* offset, const float* own_offset,
       const float* slack, const int* first_row, const int* best, const int* count, const int* listed,
       const float* estimates, double square_factor, const int* cuts, int pieces, int n, int d, int l, double* cosine,
       int* partner) {
    if (ROW >= n) return;
    const Lead rows{q, scale, offset};
    const bool all = count[ROW] > LISTED;
    const int start = first_row[ROW], left = all ? ROW - start : count[ROW];
    const float top = float_of(best[ROW]), least = top - 2 * slack[ROW];
    double greatest = -FAR, bar = -FAR;
    int winner = -1;
    for (int first = 0; first < left; first += 32) {
        const bool inside = first + LANE < left;
        int earlier = start + first + LANE;
        float estimate = 0.0f;
        if (inside && all) estimate = estimate_of(rows, ROW, rows, earlier, l);
        if (inside && !all) {
            earlier = listed[size_t(ROW) * LISTED + LANE];
            estimate = estimates[size_t(ROW) * LISTED + LANE];
        }
        const double upper = double(estimate) + slack[ROW];
        unsigned passed = __ballot_sync(ALL, inside && !(estimate < least) && !(upper < bar));
        const unsigned promising = __ballot_sync(ALL, estimate == top);
        while (passed) {
            const int lane = __ffs(passed & promising ? passed & promising : passed) - 1;
            const int other = __shfl_sync(ALL, earlier, lane);
            const double value = exact_cosine(unit + size_t(ROW) * d, unit + size_t(other) * d, cuts, pieces);
            if (value > greatest || (value == greatest && other < winner)) {
                greatest = value;
                winner = other;
                bar = square_factor * value - own_offset[ROW];
            }
            passed &= ~(1u << lane);
            passed &= __ballot_sync(ALL, !(upper < bar));
        }
    }
    if (LANE == 0) {
        cosine[ROW] = greatest;
        partner[ROW] = winner;
    }
}
