/* What follows the sums of a convolution in the same step:

   bit = (a >= threshold) != flip                                          of integer sums a, or
   y = clamp((a scale [K] + bias) [affine_scale + affine_shift]) [+ residual]
   packed = quantizer(y [packed_scale + packed_shift])

   A quantizer is the number of bits of its levels, 0 for the sign, -1 for none. Bits of 32 channels are a word, `words` of a
   pixel, and `plane` words further on the next bit of levels; `bytes` says that a level is a byte instead. */

enum { TFQ_NO_QUANTIZER = -1, TFQ_SIGN = 0 };

typedef struct {
    int32_t quantizer, channels, words, plane, bytes;
    const float *scale, *shift;
} tfq_packing;

typedef struct {
    int32_t filters;
    const int32_t *thresholds;
    const uint32_t *flips;
    const float *scale, *bias, *affine_scale, *affine_shift;
    float low, high;
    int32_t sum_offset, sum_step; /* of sums for a pool: a byte is (a + offset) / step; where step is 0, they are 16 bits each */
    tfq_packing packing;
} tfq_results;

typedef struct {
    const float *input_scale, *residual;
    float *target;
    void *packed;
    void *sums; /* the integer sums, for a pool that finishes them */
#if defined(TFQ_HAS_FIXED)
    /* As residual and target, in fixed point; what is packed is not rounded. */
    const int16_t *fixed_residual;
    float residual_step;
    int16_t *fixed_target;
    float target_step;
#endif
} tfq_places;

/* round(n clip(x, 0, 1)), ties to even; adding and subtracting 1.5 * 2^23 rounds. NaN gives 0. Each step is assigned: where floats
   are computed in double (s390x and x87 with -std=c99), an assignment takes it back to a float, and the sum alone would not round. */
TFQ_INLINE float tfq_level(float x, int32_t bits)
{
    float level;

    x = x > 0.0f ? x : 0.0f;
    x = x < 1.0f ? x : 1.0f;
    level = (float)((1 << bits) - 1) * x;
    level = level + 12582912.0f;
    level = level - 12582912.0f;
    return level;
}

TFQ_INLINE float tfq_quantized(float x, int32_t quantizer)
{
    if (quantizer == TFQ_NO_QUANTIZER)
        return x;
    if (quantizer == TFQ_SIGN)
        return x >= 0.0f ? 1.0f : -1.0f;
    return tfq_level(x, quantizer);
}

/* Bit l is value[l] >= 0. */
TFQ_INLINE uint32_t tfq_signs(const float *value, int32_t lanes)
{
    uint32_t bits = 0;
    int32_t l;

#if defined(TFQ_AVX512)
    if (lanes == TFQ_LANES)
        return (uint32_t)_mm512_cmp_ps_mask(_mm512_loadu_ps(value), _mm512_setzero_ps(), _CMP_GE_OQ);
#elif defined(TFQ_AVX2)
    if (lanes == TFQ_LANES) {
        const __m256 zero = _mm256_setzero_ps();
        return (uint32_t)_mm256_movemask_ps(_mm256_cmp_ps(_mm256_loadu_ps(value), zero, _CMP_GE_OQ)) |
               (uint32_t)_mm256_movemask_ps(_mm256_cmp_ps(_mm256_loadu_ps(value + 8), zero, _CMP_GE_OQ)) << 8;
    }
#elif defined(TFQ_WASM)
    if (lanes == TFQ_LANES) {
        const v128_t zero = wasm_f32x4_splat(0.0f);
        for (l = 0; l < TFQ_LANES; l += 4)
            bits |= wasm_i32x4_bitmask(wasm_f32x4_ge(wasm_v128_load(value + l), zero)) << l;
        return bits;
    }
#endif
    TFQ_ROLLED
    for (l = 0; l < lanes && l < TFQ_LANES; l++) /* the second bound is for gcc's -Warray-bounds with sanitizers */
        bits |= (uint32_t)(value[l] >= 0.0f) << l;
    return bits;
}

/* Bit l is a[l] >= threshold[l]. */
TFQ_INLINE uint32_t tfq_at_least(const int32_t *a, const int32_t *threshold, int32_t lanes)
{
    uint32_t bits = 0;
    int32_t l;

#if defined(TFQ_AVX512)
    if (lanes == TFQ_LANES)
        return (uint32_t)_mm512_cmpge_epi32_mask(_mm512_loadu_si512((const void *)a), _mm512_loadu_si512((const void *)threshold));
#elif defined(TFQ_WASM)
    if (lanes == TFQ_LANES) {
        for (l = 0; l < TFQ_LANES; l += 4)
            bits |= wasm_i32x4_bitmask(wasm_i32x4_ge(wasm_v128_load(a + l), wasm_v128_load(threshold + l))) << l;
        return bits;
    }
#endif
    TFQ_ROLLED
    for (l = 0; l < lanes; l++)
        bits |= (uint32_t)(a[l] >= threshold[l]) << l;
    return bits;
}

/* Writes the bits of the channels from `first` on, a multiple of 16, of one pixel. */
TFQ_INLINE void tfq_put_bits(uint32_t *pixel, int32_t first, uint32_t bits)
{
    if (first % 32)
        pixel[first / 32] |= bits << 16;
    else
        pixel[first / 32] = bits;
}

/* Writes the levels of the channels from `first` on. */
TFQ_RARE void tfq_put_few_levels(const tfq_packing *s, void *packed, int32_t position, int32_t first, int32_t lanes,
                                 const float *value)
{
    int32_t l, bit;

    if (s->bytes) {
        uint8_t *bytes = (uint8_t *)packed + (size_t)position * (size_t)s->channels + first;
        for (l = 0; l < lanes; l++)
            bytes[l] = (uint8_t)tfq_level(value[l], s->quantizer);
        return;
    }
    for (bit = 0; bit < s->quantizer; bit++) {
        uint32_t bits = 0;
        for (l = 0; l < lanes; l++)
            bits |= ((uint32_t)tfq_level(value[l], s->quantizer) >> bit & 1u) << l;
        tfq_put_bits((uint32_t *)packed + (size_t)bit * (size_t)s->plane + (size_t)position * (size_t)s->words, first, bits);
    }
}

#if defined(TFQ_VECTORS)

/* a where a lane of `which` has all bits, b where it has none. */
#define TFQ_CHOOSE(WHICH, A, B) (tfq_floats16)(((tfq_ints16)(A) & (tfq_ints16)(WHICH)) | ((tfq_ints16)(B) & ~(tfq_ints16)(WHICH)))

/* `tfq_quantized` of 16; by their address, since how a vector is handed over depends on the processor. */
TFQ_INLINE void tfq_quantize_16(tfq_floats16 *at, int32_t quantizer)
{
    const tfq_floats16 zero = {0}, one = zero + 1.0f;
    tfq_floats16 x = *at;

    if (quantizer == TFQ_SIGN) {
        x = TFQ_CHOOSE(x >= zero, one, -one);
    } else if (quantizer != TFQ_NO_QUANTIZER) {
        x = TFQ_CHOOSE(x > zero, x, zero);
        x = TFQ_CHOOSE(x < one, x, one);
        x = (float)((1 << quantizer) - 1) * x;
        x = x + 12582912.0f;
        x = x - 12582912.0f;
    }
    *at = x;
}

/* The levels of a whole block. */
TFQ_APART void tfq_put_levels(const tfq_packing *s, void *packed, int32_t position, int32_t first, const float *value)
{
    tfq_floats16 quantized = TFQ_OF_16(tfq_floats16, value);
    tfq_ints16 level;
    float signs[TFQ_LANES];
    int32_t bit;

    tfq_quantize_16(&quantized, s->quantizer);
    level = __builtin_convertvector(quantized, tfq_ints16);
    if (s->bytes) {
        TFQ_16(tfq_bytes16, (uint8_t *)packed + (size_t)position * (size_t)s->channels + first) =
            __builtin_convertvector(level, tfq_bytes16);
        return;
    }
    for (bit = 0; bit < s->quantizer; bit++) {
        TFQ_16(tfq_floats16, signs) = __builtin_convertvector(level >> bit & 1, tfq_floats16) - 0.5f;
        tfq_put_bits((uint32_t *)packed + (size_t)bit * (size_t)s->plane + (size_t)position * (size_t)s->words, first,
                     tfq_signs(signs, TFQ_LANES));
    }
}

#endif

/* Writes the quantized values of the channels from `first` on. */
TFQ_INLINE void tfq_put_scaled(const tfq_packing *s, void *packed, int32_t position, int32_t first, int32_t lanes,
                               const float *value)
{
    if (s->quantizer == TFQ_SIGN)
        tfq_put_bits((uint32_t *)packed + (size_t)position * (size_t)s->words, first, tfq_signs(value, lanes));
#if defined(TFQ_VECTORS)
    else if (lanes == TFQ_LANES)
        tfq_put_levels(s, packed, position, first, value);
#endif
    else
        tfq_put_few_levels(s, packed, position, first, lanes, value);
}

/* The same after the scale and shift, if there are any, of less than a block. */
TFQ_RARE void tfq_put_few(const tfq_packing *s, void *packed, int32_t position, int32_t first, int32_t lanes, const float *value)
{
    float scaled[TFQ_LANES];
    int32_t l;

    for (l = 0; l < lanes; l++)
        scaled[l] = s->scale ? value[l] * s->scale[first + l] + s->shift[first + l] : value[l];
    tfq_put_scaled(s, packed, position, first, lanes, scaled);
}

TFQ_INLINE void tfq_put(const tfq_packing *s, void *packed, int32_t position, int32_t first, int32_t lanes, const float *value)
{
#if defined(TFQ_VECTORS)
    if (lanes == TFQ_LANES) {
        tfq_floats16 x = TFQ_OF_16(tfq_floats16, value);
        float scaled[TFQ_LANES];
        if (s->scale)
            x = x * TFQ_OF_16(tfq_floats16, s->scale + first) + TFQ_OF_16(tfq_floats16, s->shift + first);
        TFQ_16(tfq_floats16, scaled) = x;
        tfq_put_scaled(s, packed, position, first, TFQ_LANES, scaled);
        return;
    }
#endif
    tfq_put_few(s, packed, position, first, lanes, value);
}

TFQ_RARE void tfq_finish_lanes(const tfq_results *s, const tfq_places *at, int32_t position, int32_t first, int32_t lanes,
                                 const float *sums)
{
    float value[TFQ_LANES];
    const size_t begin = (size_t)position * (size_t)s->filters + (size_t)first;
    int32_t l;

    for (l = 0; l < lanes; l++)
        value[l] = sums[l] * s->scale[first + l];
    if (at->input_scale)
        for (l = 0; l < lanes; l++)
            value[l] *= at->input_scale[position];
    if (s->bias)
        for (l = 0; l < lanes; l++)
            value[l] += s->bias[first + l];
    if (s->affine_scale)
        for (l = 0; l < lanes; l++)
            value[l] = value[l] * s->affine_scale[first + l] + s->affine_shift[first + l];
    if (s->low <= s->high)
        for (l = 0; l < lanes; l++) {
            value[l] = value[l] > s->low ? value[l] : s->low;
            value[l] = value[l] < s->high ? value[l] : s->high;
        }
    if (at->residual)
        for (l = 0; l < lanes; l++)
            value[l] += at->residual[begin + (size_t)l];
#if defined(TFQ_HAS_FIXED)
    if (at->fixed_residual)
        for (l = 0; l < lanes; l++)
            value[l] += (float)at->fixed_residual[begin + (size_t)l] * at->residual_step;
    if (at->fixed_target) {
        const float steps_of_one = 1.0f / at->target_step;
        for (l = 0; l < lanes; l++)
            at->fixed_target[begin + (size_t)l] = (int16_t)tfq_fixed(value[l], steps_of_one);
    }
#endif
    if (at->target)
        for (l = 0; l < lanes; l++)
            at->target[begin + (size_t)l] = value[l];
    if (at->packed)
        tfq_put(&s->packing, at->packed, position, first, lanes, value);
}

#if defined(TFQ_VECTORS)

#if defined(TFQ_HAS_FIXED)

TFQ_INLINE void tfq_add_fixed_16(const int16_t *q, float step, tfq_floats16 *y)
{
    *y += __builtin_convertvector(__builtin_convertvector(TFQ_OF_16(tfq_shorts16, q), tfq_ints16), tfq_floats16) * step;
}

TFQ_INLINE void tfq_store_fixed_16(const tfq_floats16 *y, float step, int16_t *target)
{
    const tfq_floats16 zero = {0}, low = zero - 32768.0f, high = zero + 32767.0f;
    tfq_floats16 q = *y * (1.0f / step);

    q = TFQ_CHOOSE(q > low, q, low);
    q = TFQ_CHOOSE(q < high, q, high);
    q = q + 12582912.0f;
    q = q - 12582912.0f;
    TFQ_16(tfq_shorts16, target) = __builtin_convertvector(__builtin_convertvector(q, tfq_ints16), tfq_shorts16);
}

#endif

/* The same of a whole block and some windows, one after another, of sums in float or whole ones. What is stored may lie anywhere,
   for all that the compiler knows: so all that is read again and again is in variables of its own. `is_plain` says that there is
   no K, no clamp, and no quantizer but the sign. */
TFQ_INLINE void tfq_finish_block(const tfq_results *s, const tfq_places *at, int32_t position, int32_t positions, int32_t first,
                                 const void *sums, int32_t are_whole, int32_t is_plain)
{
    const tfq_packing *packing = &s->packing;
    const tfq_floats16 zero = {0}, one = zero + 1.0f, low = zero + s->low, high = zero + s->high;
    const tfq_floats16 scale = TFQ_OF_16(tfq_floats16, s->scale + first);
    const tfq_floats16 bias = s->bias ? TFQ_OF_16(tfq_floats16, s->bias + first) : zero;
    const tfq_floats16 scale_2 = s->affine_scale ? TFQ_OF_16(tfq_floats16, s->affine_scale + first) : one;
    const tfq_floats16 shift_2 = s->affine_scale ? TFQ_OF_16(tfq_floats16, s->affine_shift + first) : zero;
    const tfq_floats16 scale_3 = packing->scale ? TFQ_OF_16(tfq_floats16, packing->scale + first) : one;
    const tfq_floats16 shift_3 = packing->scale ? TFQ_OF_16(tfq_floats16, packing->shift + first) : zero;
    const int32_t clamps = s->low <= s->high, words = packing->words;
    const size_t begin = (size_t)position * (size_t)s->filters + (size_t)first, step = (size_t)s->filters;
    const float *const residual = at->residual, *const input_scale = at->input_scale;
    float *const target = at->target;
    uint32_t *const packed = (uint32_t *)at->packed;
#if defined(TFQ_HAS_FIXED)
    const int16_t *const fixed_residual = at->fixed_residual;
    int16_t *const fixed_target = at->fixed_target;
    const float residual_step = at->residual_step, target_step = at->target_step;
#endif
    int32_t p;

    for (p = 0; p < positions; p++) {
        const size_t here = begin + (size_t)p * step;
        tfq_floats16 value;
        if (are_whole)
            value = __builtin_convertvector(TFQ_OF_16(tfq_ints16, (const int32_t *)sums + p * TFQ_LANES), tfq_floats16);
        else
            value = TFQ_OF_16(tfq_floats16, (const float *)sums + p * TFQ_LANES);
        value *= scale;
        if (!is_plain && input_scale)
            value *= input_scale[position + p];
        value = (value + bias) * scale_2 + shift_2;
        if (!is_plain && clamps) {
            value = TFQ_CHOOSE(value > low, value, low);
            value = TFQ_CHOOSE(value < high, value, high);
        }
        if (residual)
            value += TFQ_OF_16(tfq_floats16, residual + here);
#if defined(TFQ_HAS_FIXED)
        if (fixed_residual)
            tfq_add_fixed_16(fixed_residual + here, residual_step, &value);
        if (fixed_target)
            tfq_store_fixed_16(&value, target_step, fixed_target + here);
#endif
        if (target)
            TFQ_16(tfq_floats16, target + here) = value;
        if (packed) {
            float results[TFQ_LANES];
            TFQ_16(tfq_floats16, results) = value * scale_3 + shift_3;
            if (is_plain)
                tfq_put_bits(packed + (size_t)(position + p) * (size_t)words, first, tfq_signs(results, TFQ_LANES));
            else
                tfq_put_scaled(packing, packed, position + p, first, TFQ_LANES, results);
        }
    }
}

TFQ_PLAIN_LOOPS void tfq_finish_plain(const tfq_results *s, const tfq_places *at, int32_t position, int32_t positions, int32_t first,
                                const int32_t *sums)
{
    tfq_finish_block(s, at, position, positions, first, sums, 1, 1);
}

TFQ_PLAIN_LOOPS void tfq_finish_16(const tfq_results *s, const tfq_places *at, int32_t position, int32_t positions, int32_t first,
                             const float *sums)
{
    tfq_finish_block(s, at, position, positions, first, sums, 0, 0);
}

#endif

TFQ_INLINE void tfq_copy_sums(const int32_t *from, int32_t lanes, int32_t *to)
{
    int32_t l;

#if defined(TFQ_VECTORS)
    if (lanes == TFQ_LANES) {
        TFQ_16(tfq_ints16, to) = TFQ_OF_16(tfq_ints16, from);
        return;
    }
#endif
    TFQ_ROLLED
    for (l = 0; l < lanes; l++)
        to[l] = from[l];
}

/* Finishes the filters from `first` on of some windows, one after another; whole blocks with a constant for their length. */
TFQ_INLINE void tfq_finish(const tfq_results *s, const tfq_places *at, int32_t position, int32_t positions, int32_t first,
                           int32_t lanes, const float *sums)
{
    int32_t p;

#if defined(TFQ_VECTORS)
    if (lanes == TFQ_LANES) {
        tfq_finish_16(s, at, position, positions, first, sums);
        return;
    }
#else
    if (lanes == TFQ_LANES) {
        for (p = 0; p < positions; p++)
            tfq_finish_lanes(s, at, position + p, first, TFQ_LANES, sums + p * TFQ_LANES);
        return;
    }
#endif
    for (p = 0; p < positions; p++)
        tfq_finish_lanes(s, at, position + p, first, lanes, sums + p * TFQ_LANES);
}

#if defined(TFQ_HAS_KEPT)

/* Stores sums from the one with this number on, for a pool. */
TFQ_APART void tfq_keep_sums(const tfq_results *s, void *to, size_t number, int32_t lanes, const int32_t *sums)
{
    const int32_t offset = s->sum_offset, shift = s->sum_step - 1;
    int32_t l;

    if (s->sum_step) {
        uint8_t *bytes = (uint8_t *)to + number;
        for (l = 0; l < lanes; l++)
            bytes[l] = (uint8_t)((uint32_t)(sums[l] + offset) >> shift);
    } else {
        int16_t *shorts = (int16_t *)to + number;
        for (l = 0; l < lanes; l++)
            shorts[l] = (int16_t)sums[l];
    }
}

#endif

/* The same of at most TFQ_POSITIONS windows and integer sums. */
TFQ_PLAIN_LOOPS void tfq_finish_integers(const tfq_results *s, const tfq_places *at, int32_t position, int32_t positions,
                                      int32_t first, int32_t lanes, const int32_t *sums)
{
    float values[TFQ_POSITIONS * TFQ_LANES];
    int32_t p, l;

    if (s->thresholds) {
        const uint32_t flips = (s->flips[first / 32] >> first % 32 & 0xffffu) & ((1u << lanes) - 1u);
        uint32_t *pixel = (uint32_t *)at->packed + (size_t)position * (size_t)s->packing.words;
        for (p = 0; p < positions; p++, pixel += s->packing.words)
            tfq_put_bits(pixel, first, tfq_at_least(sums + p * TFQ_LANES, s->thresholds + first, lanes) ^ flips);
        return;
    }
#if defined(TFQ_VECTORS)
    if (lanes == TFQ_LANES && !at->sums && !at->input_scale && s->low > s->high && s->packing.quantizer <= TFQ_SIGN) {
        tfq_finish_plain(s, at, position, positions, first, sums);
        return;
    }
#endif
    for (p = 0; p < positions; p++) {
        const int32_t *sum = sums + p * TFQ_LANES;
#if defined(TFQ_HAS_KEPT)
        if (at->sums) {
            tfq_keep_sums(s, at->sums, (size_t)(position + p) * (size_t)s->filters + (size_t)first, lanes, sum);
            continue;
        }
#endif
#if defined(TFQ_VECTORS)
        if (lanes == TFQ_LANES) {
            TFQ_16(tfq_floats16, values + p * TFQ_LANES) = __builtin_convertvector(TFQ_OF_16(tfq_ints16, sum), tfq_floats16);
            continue;
        }
#endif
        TFQ_ROLLED
        for (l = 0; l < lanes; l++)
            values[p * TFQ_LANES + l] = (float)sum[l];
    }
    if (!at->sums)
        tfq_finish(s, at, position, positions, first, lanes, values);
}
