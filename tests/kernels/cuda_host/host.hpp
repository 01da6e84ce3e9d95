// CUDA's words on a CPU: the kernels' own source runs with this in front of it, thread by thread, block after block.
//
// Each thread of a block is a fibre, with a stack of its own, and runs until it has to wait for others: at a barrier, or
// where a warp exchanges registers. Then the next one runs. The order of the threads in a block can be reversed or
// shuffled, so that what forgets to wait shows. A wait that never ends is an error with a message, not a hang.
#pragma once
#include <setjmp.h>
#include <ucontext.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <tuple>
#include <utility>
#include <vector>

#define __device__
#define __global__
#define __shared__ static
#define __launch_bounds__(...)

using std::max;
using std::min;

struct dim3_of_one {
    unsigned x;
};
static dim3_of_one threadIdx, blockIdx;

struct alignas(16) int4 {
    int x, y, z, w;
};

namespace host {

constexpr int MOST = 1024;
constexpr size_t STACK = 128 << 10;

struct Message {
    unsigned words[6];
};

// What the 32 threads of a warp give one another. Two sets of messages: who is fast may already write the next.
struct Warp {
    Message messages[2][32];
    int arrived = 0, alive = 0;
    unsigned turn = 0;
    const char* where = nullptr;
};

struct Fibre {
    ucontext_t start;
    jmp_buf at;
    bool begun, done;
};

static Fibre fibres[MOST];
static Warp warps[MOST / 32];
static char* stacks = nullptr;
static jmp_buf scheduler;
static int current = 0, living = 0, threads = 0;
static int block_arrived = 0, block_votes[2];
static unsigned block_turn = 0;
static bool progress = false;
static const char* error = nullptr;
static void (*body)() = nullptr;
static void** values = nullptr;

inline void wait() {
    if (_setjmp(fibres[current].at) == 0) _longjmp(scheduler, 1);
}

inline Warp& warp() { return warps[current / 32]; }

// Give 32 messages to one another; `where` tells one exchange from another.
inline const Message* exchange(const char* where, const Message& own) {
    Warp& w = warp();
    const unsigned turn = w.turn;
    if (w.arrived && w.where != where) error = "threads of a warp wait for one another in different places";
    w.where = where;
    w.messages[turn & 1][current % 32] = own;
    progress = true;
    if (++w.arrived == 32) {
        w.arrived = 0;
        ++w.turn;
    }
    while (w.turn == turn) wait();
    return w.messages[turn & 1];
}

inline void open_block() {
    block_arrived = 0;
    ++block_turn;
    block_votes[block_turn & 1] = 0;
    progress = true;
}

inline int barrier(int vote) {
    const unsigned turn = block_turn;
    block_votes[turn & 1] += vote != 0;
    progress = true;
    if (++block_arrived == living) open_block();
    while (block_turn == turn) wait();
    return block_votes[turn & 1];
}

template <class T>
T from_lane(const char* where, T value, int lane) {
    Message own{};
    memcpy(&own, &value, sizeof(T));
    const Message* all = exchange(where, own);
    memcpy(&value, &all[lane & 31], sizeof(T));
    return value;
}

inline void finish() {
    fibres[current].done = true;
    progress = true;
    --living;
    if (living && block_arrived == living) open_block();
    _longjmp(scheduler, 1);
}

inline void enter() {
    body();
    finish();
}

// The threads' order in block `block`: 0 as they are, 1 reversed, 2 and more shuffled.
inline std::vector<int> order_of(int block, int order) {
    std::vector<int> result(threads);
    for (int i = 0; i < threads; ++i) result[i] = i;
    if (order == 1) std::reverse(result.begin(), result.end());
    if (order < 2) return result;
    unsigned long long state = order * 2654435761ull + block;
    for (int i = threads - 1; i > 0; --i) {
        state = state * 6364136223846793005ull + 1442695040888963407ull;
        std::swap(result[i], result[(state >> 33) % (i + 1)]);
    }
    return result;
}

inline void run_block(int block, int order) {
    blockIdx.x = block;
    living = threads;
    block_arrived = 0;
    block_votes[0] = block_votes[1] = 0;
    for (int i = 0; i < threads; ++i) fibres[i].begun = fibres[i].done = false;
    for (int i = 0; i < threads / 32; ++i) warps[i].arrived = 0;
    const std::vector<int> turns = order_of(block, order);
    while (living && !error) {
        progress = false;
        for (int at = 0; at < threads; ++at) {
            const int i = turns[at];
            if (fibres[i].done) continue;
            current = i;
            threadIdx.x = i;
            if (_setjmp(scheduler)) continue;
            if (fibres[i].begun) _longjmp(fibres[i].at, 1);
            fibres[i].begun = true;
            getcontext(&fibres[i].start);
            fibres[i].start.uc_stack.ss_sp = stacks + i * STACK;
            fibres[i].start.uc_stack.ss_size = STACK;
            fibres[i].start.uc_link = nullptr;
            makecontext(&fibres[i].start, (void (*)())enter, 0);
            setcontext(&fibres[i].start);
        }
        if (living && !progress && !error) error = "threads wait for others that never come";
    }
}

template <class... A, size_t... I>
void call(void (*kernel)(A...), std::index_sequence<I...>) {
    kernel(*static_cast<A*>(values[I])...);
}

template <auto KERNEL>
struct Launch;

template <class... A, void (*KERNEL)(A...)>
struct Launch<KERNEL> {
    static void once() { call(KERNEL, std::index_sequence_for<A...>{}); }
    static const char* all(int blocks, int size, int order, void** arguments) {
        if (!stacks) stacks = static_cast<char*>(malloc(MOST * STACK));
        body = once;
        values = arguments;
        threads = size;
        error = nullptr;
        for (int i = 0; i < blocks && !error; ++i) run_block(order == 1 ? blocks - 1 - i : i, order);
        return error;
    }
};

}  // namespace host

#define LAUNCH(NAME)                                                                                  \
    extern "C" const char* launch_##NAME(int blocks, int size, int order, void** arguments) {         \
        return host::Launch<NAME>::all(blocks, size, order, arguments);                               \
    }


inline void __syncthreads() { host::barrier(0); }
inline int __syncthreads_or(int vote) { return host::barrier(vote); }
inline void __syncwarp() { host::exchange("syncwarp", {}); }

template <class T>
T __shfl_sync(unsigned, T value, int lane) {
    return host::from_lane("shfl", value, lane);
}
template <class T>
T __shfl_xor_sync(unsigned, T value, int mask) {
    return host::from_lane("shfl_xor", value, (host::current % 32) ^ mask);
}
inline unsigned __ballot_sync(unsigned, int vote) {
    host::Message own{};
    own.words[0] = vote != 0;
    const host::Message* all = host::exchange("ballot", own);
    unsigned votes = 0;
    for (int lane = 0; lane < 32; ++lane) votes |= all[lane].words[0] << lane;
    return votes;
}
inline int __all_sync(unsigned mask, int vote) { return __ballot_sync(mask, vote) == 0xffffffffu; }
inline int __any_sync(unsigned mask, int vote) { return __ballot_sync(mask, vote) != 0; }

template <class T, class U>
T atomicAdd(T* at, U value) {
    const T before = *at;
    *at = before + T(value);
    return before;
}
template <class T>
T atomicMax(T* at, T value) {
    const T before = *at;
    *at = max(before, value);
    return before;
}
template <class T>
T atomicMin(T* at, T value) {
    const T before = *at;
    *at = min(before, value);
    return before;
}
inline unsigned atomicOr(unsigned* at, unsigned value) {
    const unsigned before = *at;
    *at = before | value;
    return before;
}

template <class TO, class FROM>
TO host_bits(FROM value) {
    TO result;
    memcpy(&result, &value, sizeof(TO));
    return result;
}
inline int __float_as_int(float x) { return host_bits<int>(x); }
inline float __int_as_float(int x) { return host_bits<float>(x); }
inline long long __double_as_longlong(double x) { return host_bits<long long>(x); }

inline double __dadd_rn(double a, double b) { return a + b; }
inline double __dsub_rn(double a, double b) { return a - b; }
inline double __dmul_rn(double a, double b) { return a * b; }
inline double __ddiv_rn(double a, double b) { return a / b; }
inline double __dsqrt_rn(double a) { return std::sqrt(a); }
inline long long __double2ll_rn(double a) { return std::llrint(a); }

inline int __popc(unsigned x) { return __builtin_popcount(x); }
inline int __ffs(int x) { return __builtin_ffs(x); }
inline int __dp4a(int a, int b, int sum) {
    for (int i = 0; i < 4; ++i) sum += int((signed char)(a >> (8 * i))) * int((signed char)(b >> (8 * i)));
    return sum;
}
