// The screen's product: 128 rows times 128 rows of int8, in int32, by the tensor cores.
//
// Formula.  sum_rc = sum_j a_rj b_cj,  exact: 127^2 d stays below 2^31 up to d = 133,000.
// Shapes.   a, b: int8 [., l], rows contiguous, l a multiple of 64 (padded with zeros); rows beyond the matrix count as
//           0.
// Contract. All 256 threads of a block call it. Thread by thread the result lies in registers: see `Place`.
//
// 64 columns of both sides at a time go from global to shared memory. There are two buffers: while the tensor cores
// multiply from one, the next 64 columns are on their way in registers, and are put into the other. A row in shared
// memory is 80 bytes apart from the next, so that the eight rows x four words a warp reads at once lie in 32 banks.
// Each of the eight warps computes 32 x 64 entries as 2 x 8 tiles of 16 x 8 (see mma_s8).
//
// Bytes moved for 128 x 128 entries: 2 * 128 l from global memory (most of them from the second-level cache), for
// 16384 l products: 64 a byte.
// Ladder: one thread an entry would read 2 l bytes for l products; shared memory makes that 64 a byte; the tensor cores
// take 4096 products an instruction instead of 4 (__dp4a); two buffers hide the way from global memory.
#pragma once
#include "warp.cuh"

#define TILE 128
#define STEP 64   // columns in shared memory at a time
#define PITCH 20  // words from row to row there: 16 of data, 4 of padding
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ < 800
#define TOGETHER 1  // blocks on a multiprocessor at a time; Turing's shared memory holds one
#else
#define TOGETHER 2
#endif

struct alignas(16) Stage {
    int a[2][TILE * PITCH];
    int b[2][TILE * PITCH];
};

// Where in the tile this thread's entries lie: entry [i][j][2 h + e] is row(i, h), column(j, e).
struct Place {
    __device__ static int row(int i, int h) { return WARP % 4 * 32 + 16 * i + 8 * h + LANE / 4; }
    __device__ static int column(int j, int e) { return WARP / 4 * 64 + 8 * j + LANE % 4 * 2 + e; }
};

// Call use(row, column, entry) for each of this thread's entries.
template <class USE>
__device__ inline void each_entry(int (&sum)[2][8][4], USE use) {
#pragma unroll
    for (int i = 0; i < 2; ++i)
#pragma unroll
        for (int h = 0; h < 2; ++h)
#pragma unroll
            for (int j = 0; j < 8; ++j)
#pragma unroll
                for (int e = 0; e < 2; ++e) use(Place::row(i, h), Place::column(j, e), sum[i][j][2 * h + e]);
}

// Read this thread's 2 x 16 bytes of 64 columns of up to 128 rows.
__device__ inline void tile_read(const signed char* q, int rows, int l, int column, int4 (&out)[2]) {
    for (int half = 0; half < 2; ++half) {
        const int vector = int(threadIdx.x) + THREADS * half, row = vector / 4;
        out[half] = int4{0, 0, 0, 0};
        if (row < rows) out[half] = *(const int4*)(q + size_t(row) * l + column + vector % 4 * 16);
    }
}

__device__ inline void tile_write(const int4 (&in)[2], int* buffer) {
    for (int half = 0; half < 2; ++half) {
        const int vector = int(threadIdx.x) + THREADS * half;
        *(int4*)(buffer + vector / 4 * PITCH + vector % 4 * 4) = in[half];
    }
}

__device__ inline void tile_multiply(const int* a, const int* b, int (&sum)[2][8][4]) {
    const int row = Place::row(0, 0), column = WARP / 4 * 64 + LANE / 4, word = LANE % 4;
#pragma unroll
    for (int first = word; first < STEP / 4; first += 8) {
        unsigned left[2][4];
#pragma unroll
        for (int i = 0; i < 2; ++i)
#pragma unroll
            for (int part = 0; part < 4; ++part)
                left[i][part] = a[(row + 16 * i + part % 2 * 8) * PITCH + first + part / 2 * 4];
#pragma unroll
        for (int j = 0; j < 8; ++j) {
            const int* right = b + (column + 8 * j) * PITCH + first;
#pragma unroll
            for (int i = 0; i < 2; ++i) mma_s8(sum[i][j], left[i], right[0], right[4]);
        }
    }
}

__device__ inline void tile_product(
    const signed char* a, int rows, const signed char* b, int columns, int l, Stage& stage, int (&sum)[2][8][4]) {
    int4 next_a[2], next_b[2];
#pragma unroll
    for (int i = 0; i < 2; ++i)
#pragma unroll
        for (int j = 0; j < 8; ++j)
#pragma unroll
            for (int part = 0; part < 4; ++part) sum[i][j][part] = 0;
    tile_read(a, rows, l, 0, next_a);
    tile_read(b, columns, l, 0, next_b);
    tile_write(next_a, stage.a[0]);
    tile_write(next_b, stage.b[0]);
    __syncthreads();
    for (int column = 0, buffer = 0; column < l; column += STEP, buffer ^= 1) {
        const bool more = column + STEP < l;
        if (more) {
            tile_read(a, rows, l, column + STEP, next_a);
            tile_read(b, columns, l, column + STEP, next_b);
        }
        tile_multiply(stage.a[buffer], stage.b[buffer], sum);
        if (more) {
            tile_write(next_a, stage.a[buffer ^ 1]);
            tile_write(next_b, stage.b[buffer ^ 1]);
        }
        __syncthreads();
    }
}
