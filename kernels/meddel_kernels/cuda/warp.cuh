// What all kernels here take for granted: the matrix's type, and 32 threads that work on one row together.
//
// A kernel is the body of a loop. The GPU runs it for every thread of every block of the grid; a block's threads share
// fast memory and can wait for one another; 32 of them, a warp, step together and can read each other's registers
// (__shfl) and vote (__ballot). "A warp a row" means: lane 0 takes columns 0, 32, 64 and so on.
#pragma once
#include "instructions.cuh"

#ifndef ELEMENT
#define ELEMENT float  // of the matrix: half_bits, float or double
#endif

#define ALL 0xffffffffu                            // all 32 threads of a warp
#define FAR __int_as_float(0x7f800000)             // infinity
#define THREADS 256                                // of a block
#define WARPS (THREADS / 32)                       // of a block: so many rows at a time, where a warp takes a row
#define LANE (int(threadIdx.x) % 32)
#define WARP (int(threadIdx.x) / 32)
#define ROW (int(blockIdx.x) * WARPS + WARP)       // this warp's row

__device__ inline double wide(double x) { return x; }
__device__ inline double wide(float x) { return x; }
__device__ inline double wide(half_bits x) { return widen_half(x); }

__device__ inline double warp_sum(double x) {
    for (int step = 16; step; step /= 2) x += __shfl_xor_sync(ALL, x, step);
    return x;
}

__device__ inline double warp_max(double x) {
    for (int step = 16; step; step /= 2) x = fmax(x, __shfl_xor_sync(ALL, x, step));
    return x;
}
