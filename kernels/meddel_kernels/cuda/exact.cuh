// The numbers that decide, bit for bit as NumPy has them: one pair of rows, float64, NumPy's order of sums.
//
// Formula.  sum_j a_j b_j  or  sum_j (a_j - b_j)^2,  each term rounded to float64. NumPy adds up to 128 terms in eight
// running sums, joined as ((0 + 1) + (2 + 3)) + ((4 + 5) + (6 + 7)), then what is left over of eight; longer rows in
// two halves, the first a multiple of eight. The host writes the halving down: `cuts` (int [pieces, 3]) says where each
// piece starts and stops, and how many pairs of halves are complete with it.
//
// A warp computes one number: four pieces at a time, each by eight lanes, a running sum each. a + b is b + a to the
// last bit, so that swapping neighbours (__shfl_xor) joins the eight in NumPy's order, in all lanes at once. Halves
// that wait for their other half lie in the lanes' registers: lane t holds the t-th.
//
// __dadd_rn and the like round to the nearest and are never fused into one instruction with another.
// Bytes moved: both rows, once. All 32 lanes must call, with the same arguments; all get the result.
#pragma once
#include "warp.cuh"

template <bool DIFFERENCE, class A, class B>
__device__ inline double exact_term(A a, B b) {
    if (!DIFFERENCE) return __dmul_rn(wide(a), wide(b));
    const double difference = __dsub_rn(wide(a), wide(b));
    return __dmul_rn(difference, difference);
}

template <bool DIFFERENCE, class A, class B>
__device__ double exact_sum(const A* a, const B* b, const int* cuts, int pieces) {
    double waiting = 0.0;
    int top = 0;
    for (int first = 0; first < pieces; first += 4) {
        const int piece = first + LANE / 8;
        int start = 0, stop = 0;
        if (piece < pieces) {
            start = cuts[3 * piece];
            stop = cuts[3 * piece + 1];
        }
        const int left_over = start + (stop - start) / 8 * 8;
        double total = 0.0;
        for (int column = start + LANE % 8; column < left_over; column += 8)
            total = __dadd_rn(total, exact_term<DIFFERENCE>(a[column], b[column]));
        for (int step = 1; step < 8; step *= 2) total = __dadd_rn(total, __shfl_xor_sync(ALL, total, step));
        for (int column = left_over; column < stop; ++column)
            total = __dadd_rn(total, exact_term<DIFFERENCE>(a[column], b[column]));
        for (int part = 0; part < 4 && first + part < pieces; ++part) {
            double sum = __shfl_sync(ALL, total, 8 * part);
            for (int joins = cuts[3 * (first + part) + 2]; joins; --joins)
                sum = __dadd_rn(__shfl_sync(ALL, waiting, --top), sum);
            if (LANE == top) waiting = sum;
            ++top;
        }
    }
    return __shfl_sync(ALL, waiting, 0);
}

template <class A, class B>
__device__ inline double exact_square(const A* a, const B* b, const int* cuts, int pieces) {
    return exact_sum<true>(a, b, cuts, pieces);
}

// The cosine of two unit rows, clipped.
__device__ inline double exact_cosine(const double* a, const double* b, const int* cuts, int pieces) {
    return fmin(1.0, fmax(-1.0, exact_sum<false>(a, b, cuts, pieces)));
}
