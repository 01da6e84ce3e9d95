// What stands in for the GPU's own instructions (see the file of this name among the kernels): the same, step by step.

struct half_bits {
    unsigned short bits;
};

// float16 to float: 5 bits of exponent, 10 of fraction; with all of the exponent set, infinity or NaN.
inline float widen_half(half_bits x) {
    const int exponent = x.bits >> 10 & 31, fraction = x.bits & 1023;
    const float size = exponent ? std::ldexp(float(1024 + fraction), exponent - 25) : std::ldexp(float(fraction), -24);
    const float value = exponent < 31 ? size : fraction ? NAN : INFINITY;
    return x.bits >> 15 ? -value : value;
}

// float to float16, to the nearest, ties to even; what is too large becomes infinity.
inline half_bits narrow_half(float x) {
    const float size = std::fabs(x);
    const int exponent = size > 0 ? std::max(std::ilogb(size), -14) : -14;
    const int fraction = int(std::nearbyint(std::ldexp(double(size), 10 - exponent)));
    const int bits = (exponent + 14) * 1024 + fraction;
    return {(unsigned short)(std::min(bits, 31 << 10) | (std::signbit(x) ? 1 << 15 : 0))};
}
