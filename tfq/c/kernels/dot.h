/* The same sums for several windows: `x` and `v` of window p begin at p * words, its sums at p * TFQ_LANES. */

#if defined(TFQ_AVX512)

TFQ_INLINE void tfq_dot_full(const uint32_t *x, const uint32_t *v, const uint32_t *w, const uint32_t *m, int32_t words,
                             int32_t positions, int32_t shift, int32_t *acc)
{
    __m512i sums[TFQ_POSITIONS], extra[TFQ_POSITIONS];
    int32_t k, p;

    TFQ_UNROLL
    for (p = 0; p < positions; p++)
        sums[p] = extra[p] = _mm512_setzero_si512();
    for (k = 0; k < words; k++) {
        const __m512i of_w = _mm512_loadu_si512((const void *)(w + (size_t)k * TFQ_LANES));
        const __m512i of_m = m ? _mm512_loadu_si512((const void *)(m + (size_t)k * TFQ_LANES)) : of_w;
        TFQ_UNROLL
        for (p = 0; p < positions; p++) {
            __m512i t = _mm512_xor_si512(of_w, _mm512_set1_epi32((int)x[p * words + k]));
            if (m)
                t = _mm512_and_si512(t, of_m);
            if (v)
                t = _mm512_and_si512(t, _mm512_set1_epi32((int)v[p * words + k]));
            if (m && v)
                extra[p] = _mm512_add_epi32(
                    extra[p], _mm512_popcnt_epi32(_mm512_and_si512(of_m, _mm512_set1_epi32((int)v[p * words + k]))));
            sums[p] = _mm512_add_epi32(sums[p], _mm512_popcnt_epi32(t));
        }
    }
    TFQ_UNROLL
    for (p = 0; p < positions; p++) {
        __m512i total = _mm512_sll_epi32(sums[p], _mm_cvtsi32_si128(shift));
        if (m && v)
            total = _mm512_sub_epi32(total, _mm512_sll_epi32(extra[p], _mm_cvtsi32_si128(shift - 1)));
        total = _mm512_add_epi32(total, _mm512_loadu_si512((const void *)(acc + p * TFQ_LANES)));
        _mm512_storeu_si512((void *)(acc + p * TFQ_LANES), total);
    }
}
#define TFQ_DOT_FULL

#elif defined(TFQ_AVX2)

/* popcount of each 32 bits: that of each half byte by a table, in bytes, which a loop may add up 31 times. */
TFQ_INLINE __m256i tfq_counts_of_bytes(__m256i x)
{
    const __m256i table = _mm256_broadcastsi128_si256(_mm_setr_epi8(0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4));
    const __m256i low = _mm256_set1_epi8(15);

    return _mm256_add_epi8(_mm256_shuffle_epi8(table, _mm256_and_si256(x, low)),
                           _mm256_shuffle_epi8(table, _mm256_and_si256(_mm256_srli_epi16(x, 4), low)));
}

TFQ_INLINE __m256i tfq_sums_of_bytes(__m256i bytes)
{
    return _mm256_madd_epi16(_mm256_maddubs_epi16(bytes, _mm256_set1_epi8(1)), _mm256_set1_epi16(1));
}

TFQ_INLINE void tfq_dot_full(const uint32_t *x, const uint32_t *v, const uint32_t *w, const uint32_t *m, int32_t words,
                             int32_t positions, int32_t shift, int32_t *acc)
{
    int32_t p, half, first, k;

    for (half = 0; half < TFQ_LANES; half += 8) {
        for (p = 0; p < positions; p++) {
            __m256i total = _mm256_setzero_si256(), more = _mm256_setzero_si256();
            const uint32_t *of_x = x + p * words, *of_v = v ? v + p * words : v;
            for (first = 0; first < words; first += 31) {
                const int32_t last = tfq_smaller(first + 31, words);
                __m256i bytes = _mm256_setzero_si256(), others = _mm256_setzero_si256();
                for (k = first; k < last; k++) {
                    const size_t at = (size_t)k * TFQ_LANES + (size_t)half;
                    __m256i t = _mm256_xor_si256(_mm256_loadu_si256((const __m256i *)(const void *)(w + at)),
                                                 _mm256_set1_epi32((int)of_x[k]));
                    __m256i valid = v ? _mm256_set1_epi32((int)of_v[k]) : t;
                    if (m)
                        t = _mm256_and_si256(t, _mm256_loadu_si256((const __m256i *)(const void *)(m + at)));
                    if (v)
                        t = _mm256_and_si256(t, valid);
                    if (m && v)
                        others = _mm256_add_epi8(others, tfq_counts_of_bytes(_mm256_and_si256(
                                                             valid, _mm256_loadu_si256((const __m256i *)(const void *)(m + at)))));
                    bytes = _mm256_add_epi8(bytes, tfq_counts_of_bytes(t));
                }
                total = _mm256_add_epi32(total, tfq_sums_of_bytes(bytes));
                if (m && v)
                    more = _mm256_add_epi32(more, tfq_sums_of_bytes(others));
            }
            total = _mm256_sll_epi32(total, _mm_cvtsi32_si128(shift));
            if (m && v)
                total = _mm256_sub_epi32(total, _mm256_sll_epi32(more, _mm_cvtsi32_si128(shift - 1)));
            total = _mm256_add_epi32(total, _mm256_loadu_si256((const __m256i *)(const void *)(acc + p * TFQ_LANES + half)));
            _mm256_storeu_si256((__m256i *)(void *)(acc + p * TFQ_LANES + half), total);
        }
    }
}
#define TFQ_DOT_FULL

#elif defined(TFQ_NEON)

TFQ_INLINE void tfq_dot_full(const uint32_t *x, const uint32_t *v, const uint32_t *w, const uint32_t *m, int32_t words,
                             int32_t positions, int32_t shift, int32_t *acc)
{
    int32_t p, quarter, first, k;

    for (quarter = 0; quarter < TFQ_LANES; quarter += 4) {
        for (p = 0; p < positions; p++) {
            const uint32_t *of_x = x + p * words, *of_v = v ? v + p * words : v;
            uint32x4_t total = vdupq_n_u32(0), more = vdupq_n_u32(0);
            int32x4_t sums;
            for (first = 0; first < words; first += 31) {
                const int32_t last = tfq_smaller(first + 31, words);
                uint8x16_t bytes = vdupq_n_u8(0), others = vdupq_n_u8(0);
                for (k = first; k < last; k++) {
                    const size_t at = (size_t)k * TFQ_LANES + (size_t)quarter;
                    uint32x4_t t = veorq_u32(vld1q_u32(w + at), vdupq_n_u32(of_x[k]));
                    if (m)
                        t = vandq_u32(t, vld1q_u32(m + at));
                    if (v)
                        t = vandq_u32(t, vdupq_n_u32(of_v[k]));
                    if (m && v)
                        others = vaddq_u8(others,
                                          vcntq_u8(vreinterpretq_u8_u32(vandq_u32(vld1q_u32(m + at), vdupq_n_u32(of_v[k])))));
                    bytes = vaddq_u8(bytes, vcntq_u8(vreinterpretq_u8_u32(t)));
                }
                total = vaddq_u32(total, vpaddlq_u16(vpaddlq_u8(bytes)));
                if (m && v)
                    more = vaddq_u32(more, vpaddlq_u16(vpaddlq_u8(others)));
            }
            sums = vreinterpretq_s32_u32(vshlq_u32(total, vdupq_n_s32(shift)));
            if (m && v)
                sums = vsubq_s32(sums, vreinterpretq_s32_u32(vshlq_u32(more, vdupq_n_s32(shift - 1))));
            vst1q_s32(acc + p * TFQ_LANES + quarter, vaddq_s32(sums, vld1q_s32(acc + p * TFQ_LANES + quarter)));
        }
    }
}
#define TFQ_DOT_FULL

#elif defined(TFQ_WASM)

TFQ_INLINE v128_t tfq_sums_of_bytes(v128_t bytes)
{
    return wasm_u32x4_extadd_pairwise_u16x8(wasm_u16x8_extadd_pairwise_u8x16(bytes));
}

TFQ_INLINE void tfq_dot_full(const uint32_t *x, const uint32_t *v, const uint32_t *w, const uint32_t *m, int32_t words,
                             int32_t positions, int32_t shift, int32_t *acc)
{
    const int32_t together = positions % 4 ? 1 : 4;
    int32_t p, q, quarter, first, k;

    for (quarter = 0; quarter < TFQ_LANES; quarter += 4) {
        for (p = 0; p < positions; p += together) {
            const uint32_t *of_x = x + p * words, *of_v = v ? v + p * words : v;
            int32_t *const target = acc + p * TFQ_LANES + quarter;
            v128_t total[4], more[4];
            _Pragma("unroll")
            for (q = 0; q < together; q++)
                total[q] = more[q] = wasm_i32x4_splat(0);
            for (first = 0; first < words; first += 31) {
                const int32_t last = tfq_smaller(first + 31, words);
                v128_t bytes[4], others[4];
                _Pragma("unroll")
                for (q = 0; q < together; q++)
                    bytes[q] = others[q] = wasm_i32x4_splat(0);
                for (k = first; k < last; k++) {
                    const size_t at = (size_t)k * TFQ_LANES + (size_t)quarter;
                    const v128_t of_w = wasm_v128_load(w + at), of_m = m ? wasm_v128_load(m + at) : of_w;
                    _Pragma("unroll")
                    for (q = 0; q < together; q++) {
                        const v128_t valid = v ? wasm_v128_load32_splat(of_v + q * words + k) : of_w;
                        v128_t t = wasm_v128_xor(of_w, wasm_v128_load32_splat(of_x + q * words + k));
                        if (m)
                            t = wasm_v128_and(t, of_m);
                        if (v)
                            t = wasm_v128_and(t, valid);
                        if (m && v)
                            others[q] = wasm_i8x16_add(others[q], wasm_i8x16_popcnt(wasm_v128_and(valid, of_m)));
                        bytes[q] = wasm_i8x16_add(bytes[q], wasm_i8x16_popcnt(t));
                    }
                }
                _Pragma("unroll")
                for (q = 0; q < together; q++) {
                    total[q] = wasm_i32x4_add(total[q], tfq_sums_of_bytes(bytes[q]));
                    if (m && v)
                        more[q] = wasm_i32x4_add(more[q], tfq_sums_of_bytes(others[q]));
                }
            }
            _Pragma("unroll")
            for (q = 0; q < together; q++) {
                v128_t sum = wasm_i32x4_shl(total[q], (uint32_t)shift);
                if (m && v)
                    sum = wasm_i32x4_sub(sum, wasm_i32x4_shl(more[q], (uint32_t)(shift - 1)));
                wasm_v128_store(target + q * TFQ_LANES, wasm_i32x4_add(sum, wasm_v128_load(target + q * TFQ_LANES)));
            }
        }
    }
}
#define TFQ_DOT_FULL

#endif

#if defined(TFQ_DOT_FULL)
/* Each combination by itself, so that no choice is left in a loop. */
TFQ_FUNCTION void tfq_dot_block(const uint32_t *x, const uint32_t *v, const uint32_t *w, const uint32_t *m, int32_t words,
                                int32_t shift, int32_t *acc)
{
    if (m && v)
        tfq_dot_full(x, v, w, m, words, TFQ_POSITIONS, shift, acc);
    else if (m)
        tfq_dot_full(x, NULL, w, m, words, TFQ_POSITIONS, shift, acc);
    else if (v)
        tfq_dot_full(x, v, w, NULL, words, TFQ_POSITIONS, shift, acc);
    else
        tfq_dot_full(x, NULL, w, NULL, words, TFQ_POSITIONS, shift, acc);
}
#endif

TFQ_FUNCTION void tfq_dot(const uint32_t *x, const uint32_t *v, const uint32_t *w, const uint32_t *m, int32_t words, int32_t lanes,
                          int32_t positions, int32_t shift, int32_t *acc)
{
    int32_t p;

#if defined(TFQ_DOT_FULL)
    if (lanes == TFQ_LANES && positions == TFQ_POSITIONS) {
        tfq_dot_block(x, v, w, m, words, shift, acc);
        return;
    }
    if (lanes == TFQ_LANES) {
        for (p = 0; p < positions; p++)
            tfq_dot_full(x + p * words, v ? v + p * words : v, w, m, words, 1, shift, acc + p * TFQ_LANES);
        return;
    }
#endif
    for (p = 0; p < positions; p++)
        tfq_dot_scalar(x + p * words, v ? v + p * words : v, w, m, words, lanes, shift, acc + p * TFQ_LANES);
}
