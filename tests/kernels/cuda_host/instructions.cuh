// What stands in for the GPU's own instructions (see the file of this name among the kernels): the same, step by step.

struct half_bits {
    unsigned short bits;
};

// float16 to float: 5 bits of exponent, 10 of fraction.
inline float widen_half(half_bits x) {
    const int exponent = x.bits >> 10 & 31, fraction = x.bits & 1023;
    const float size = exponent ? std::ldexp(float(1024 + fraction), exponent - 25) : std::ldexp(float(fraction), -24);
    return x.bits >> 15 ? -size : size;
}

// Every thread gives its registers to the warp, and computes its four entries from all of them.
inline void mma_s8(int (&sum)[4], const unsigned (&a)[4], unsigned b0, unsigned b1) {
    const host::Message* all = host::exchange("mma_s8", {{a[0], a[1], a[2], a[3], b0, b1}});
    const int lane = host::current % 32;
    for (int entry = 0; entry < 4; ++entry) {
        const host::Message* left = all + lane / 4 * 4;
        const host::Message* right = all + (lane % 4 * 2 + entry % 2) * 4;
        for (int t = 0; t < 4; ++t) {
            sum[entry] = __dp4a(left[t].words[entry / 2], right[t].words[4], sum[entry]);
            sum[entry] = __dp4a(left[t].words[2 + entry / 2], right[t].words[5], sum[entry]);
        }
    }
}
