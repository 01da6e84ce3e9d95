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

// To the nearest float16, ties to even.
__device__ inline half_bits narrow_half(float x) {
    half_bits narrow;
    asm("cvt.rn.f16.f32 %0, %1;" : "=h"(narrow.bits) : "f"(x));
    return narrow;
}
