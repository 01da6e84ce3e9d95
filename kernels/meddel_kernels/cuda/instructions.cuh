// The instructions of the processor that CUDA C++ has no word for, one function each.
//
// Whoever runs these kernels on something else than a GPU (the tests do, on a CPU) replaces this file and nothing else.
#pragma once

// A float16 by its bits: NVRTC, the compiler in CuPy, has no type for it without headers that a user may lack.
struct half_bits {
    unsigned short bits;
};

__device__ inline float widen_half(half_bits x) {
    float wide;
    asm("cvt.f32.f16 %0, %1;" : "=f"(wide) : "h"(x.bits));
    return wide;
}

// sum += a b for a 16 x 32 matrix a and a 32 x 8 matrix b of int8, held by the 32 threads of a warp together.
//
// A register holds four int8. With g = lane / 4 and t = lane % 4, a thread holds
//   a[0]: row g,     columns 4 t to 4 t + 3         a[2]: row g,     columns 16 + 4 t and on
//   a[1]: row g + 8, the same                       a[3]: row g + 8, the same
//   b0: column g of b, rows 4 t to 4 t + 3          b1: column g, rows 16 + 4 t and on
//   sum[0], sum[1]: row g, columns 2 t and 2 t + 1  sum[2], sum[3]: row g + 8, the same
// Turing (sm_75) has the quarter of it, 8 x 16 times 16 x 8, in the same places: four of them are the same product.
__device__ inline void mma_s8(int (&sum)[4], const unsigned (&a)[4], unsigned b0, unsigned b1) {
#if __CUDA_ARCH__ >= 800
    asm("mma.sync.aligned.m16n8k32.row.col.s32.s8.s8.s32 "
        "{%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
        : "+r"(sum[0]), "+r"(sum[1]), "+r"(sum[2]), "+r"(sum[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
#else
    for (int half = 0; half < 2; ++half) {
        int &left = sum[2 * half], &right = sum[2 * half + 1];
        asm("mma.sync.aligned.m8n8k16.row.col.s32.s8.s8.s32 {%0, %1}, {%2}, {%3}, {%0, %1};"
            : "+r"(left), "+r"(right)
            : "r"(a[half]), "r"(b0));
        asm("mma.sync.aligned.m8n8k16.row.col.s32.s8.s8.s32 {%0, %1}, {%2}, {%3}, {%0, %1};"
            : "+r"(left), "+r"(right)
            : "r"(a[2 + half]), "r"(b1));
    }
#endif
}
