/* Subtracts the sums of popcounts of windows and the filters of a block from `acc`.

   The words of a window lie in `parts` pieces of `part` words, which are `apart` words apart; those of the next window of a row
   begin `step` words further on. Those of window p begin at p * TFQ_LANES. */

typedef struct {
    const uint32_t *x;
    int32_t part, parts, apart, step;
} tfq_view;

#if defined(TFQ_AVX512)

TFQ_INLINE void tfq_dot_full(const tfq_view *view, const uint32_t *w, const uint32_t *m, int32_t positions, int32_t shift,
                             int32_t *acc)
{
    const int32_t part = view->part, parts = view->parts;
    const ptrdiff_t step = view->step, apart = view->apart;
    const __m128i by = _mm_cvtsi32_si128(shift);
    const uint32_t *row = view->x;
    __m512i sums[TFQ_POSITIONS];
    int32_t i, k, p;

    TFQ_UNROLL
    for (p = 0; p < positions; p++)
        sums[p] = _mm512_setzero_si512();
    for (i = 0; i < parts; i++, row += apart)
        for (k = 0; k < part; k++, w += TFQ_LANES) {
            const __m512i of_w = _mm512_loadu_si512((const void *)w);
            const __m512i of_m = m ? _mm512_loadu_si512((const void *)m) : of_w;
            TFQ_UNROLL
            for (p = 0; p < positions; p++) {
                __m512i t = _mm512_xor_si512(of_w, _mm512_set1_epi32((int)row[p * step + k]));
                if (m)
                    t = _mm512_and_si512(t, of_m);
                sums[p] = _mm512_add_epi32(sums[p], _mm512_popcnt_epi32(t));
            }
            if (m)
                m += TFQ_LANES;
        }
    TFQ_UNROLL
    for (p = 0; p < positions; p++) {
        const __m512i before = _mm512_loadu_si512((const void *)(acc + p * TFQ_LANES));
        _mm512_storeu_si512((void *)(acc + p * TFQ_LANES), _mm512_sub_epi32(before, _mm512_sll_epi32(sums[p], by)));
    }
}

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

TFQ_INLINE void tfq_dot_one(const uint32_t *x, const uint32_t *w, const uint32_t *m, int32_t words, int32_t shift, int32_t *acc)
{
    int32_t half, first, k;

    for (half = 0; half < TFQ_LANES; half += 8) {
        __m256i *const sums = (__m256i *)(void *)(acc + half);
        __m256i total = _mm256_setzero_si256();
        for (first = 0; first < words; first += 31) {
            const int32_t last = tfq_smaller(first + 31, words);
            __m256i bytes = _mm256_setzero_si256();
            for (k = first; k < last; k++) {
                const size_t at = (size_t)k * TFQ_LANES + (size_t)half;
                __m256i t = _mm256_xor_si256(_mm256_loadu_si256((const __m256i *)(const void *)(w + at)),
                                             _mm256_set1_epi32((int)x[k]));
                if (m)
                    t = _mm256_and_si256(t, _mm256_loadu_si256((const __m256i *)(const void *)(m + at)));
                bytes = _mm256_add_epi8(bytes, tfq_counts_of_bytes(t));
            }
            total = _mm256_add_epi32(total, tfq_sums_of_bytes(bytes));
        }
        total = _mm256_sll_epi32(total, _mm_cvtsi32_si128(shift));
        _mm256_storeu_si256(sums, _mm256_sub_epi32(_mm256_loadu_si256(sums), total));
    }
}
#define TFQ_DOT_ONE

#elif defined(TFQ_NEON)

TFQ_INLINE void tfq_dot_one(const uint32_t *x, const uint32_t *w, const uint32_t *m, int32_t words, int32_t shift, int32_t *acc)
{
    int32_t quarter, first, k;

    for (quarter = 0; quarter < TFQ_LANES; quarter += 4) {
        uint32x4_t total = vdupq_n_u32(0);
        for (first = 0; first < words; first += 31) {
            const int32_t last = tfq_smaller(first + 31, words);
            uint8x16_t bytes = vdupq_n_u8(0);
            for (k = first; k < last; k++) {
                const size_t at = (size_t)k * TFQ_LANES + (size_t)quarter;
                uint32x4_t t = veorq_u32(vld1q_u32(w + at), vdupq_n_u32(x[k]));
                if (m)
                    t = vandq_u32(t, vld1q_u32(m + at));
                bytes = vaddq_u8(bytes, vcntq_u8(vreinterpretq_u8_u32(t)));
            }
            total = vaddq_u32(total, vpaddlq_u16(vpaddlq_u8(bytes)));
        }
        total = vshlq_u32(total, vdupq_n_s32(shift));
        vst1q_s32(acc + quarter, vsubq_s32(vld1q_s32(acc + quarter), vreinterpretq_s32_u32(total)));
    }
}
#define TFQ_DOT_ONE

#elif defined(TFQ_WASM)

/* All 16 filters at once, so that a word of the window is spread once. */
TFQ_INLINE void tfq_dot_one(const uint32_t *x, const uint32_t *w, const uint32_t *m, int32_t words, int32_t shift, int32_t *acc)
{
    v128_t total[4];
    int32_t quarter, first, k;

    for (quarter = 0; quarter < 4; quarter++)
        total[quarter] = wasm_i32x4_splat(0);
    for (first = 0; first < words; first += 31) {
        const int32_t last = tfq_smaller(first + 31, words);
        v128_t bytes[4];
        for (quarter = 0; quarter < 4; quarter++)
            bytes[quarter] = wasm_i32x4_splat(0);
        for (k = first; k < last; k++) {
            const v128_t of_x = wasm_v128_load32_splat(x + k);
            _Pragma("unroll")
            for (quarter = 0; quarter < 4; quarter++) {
                const size_t at = (size_t)k * TFQ_LANES + 4 * (size_t)quarter;
                v128_t t = wasm_v128_xor(wasm_v128_load(w + at), of_x);
                if (m)
                    t = wasm_v128_and(t, wasm_v128_load(m + at));
                bytes[quarter] = wasm_i8x16_add(bytes[quarter], wasm_i8x16_popcnt(t));
            }
        }
        for (quarter = 0; quarter < 4; quarter++) {
            const v128_t pairs = wasm_u16x8_extadd_pairwise_u8x16(bytes[quarter]);
            total[quarter] = wasm_i32x4_add(total[quarter], wasm_u32x4_extadd_pairwise_u16x8(pairs));
        }
    }
    for (quarter = 0; quarter < 4; quarter++) {
        int32_t *const target = acc + 4 * quarter;
        wasm_v128_store(target, wasm_i32x4_sub(wasm_v128_load(target), wasm_i32x4_shl(total[quarter], (uint32_t)shift)));
    }
}
#define TFQ_DOT_ONE

#endif

/* Each combination by itself, so that no choice is left in a loop; `positions` is 1 or TFQ_POSITIONS. */
TFQ_APART void tfq_dot(const tfq_view *view, const uint32_t *w, const uint32_t *m, int32_t lanes, int32_t positions,
                          int32_t shift, int32_t *acc)
{
    int32_t p, i;

    m = TFQ_MASKS(m);
#if defined(TFQ_AVX512)
    if (lanes == TFQ_LANES) {
        if (m && positions == TFQ_POSITIONS)
            tfq_dot_full(view, w, m, TFQ_POSITIONS, shift, acc);
        else if (m)
            tfq_dot_full(view, w, m, 1, shift, acc);
        else if (positions == TFQ_POSITIONS)
            tfq_dot_full(view, w, NULL, TFQ_POSITIONS, shift, acc);
        else
            tfq_dot_full(view, w, NULL, 1, shift, acc);
        return;
    }
#elif defined(TFQ_DOT_ONE)
    if (lanes == TFQ_LANES) {
        if (m)
            tfq_dot_one(view->x, w, m, view->part, shift, acc);
        else
            tfq_dot_one(view->x, w, NULL, view->part, shift, acc);
        return;
    }
#endif
    for (p = 0; p < positions; p++)
        for (i = 0; i < view->parts; i++) {
            const size_t at = (size_t)i * (size_t)view->part * (size_t)lanes;
            tfq_dot_scalar(view->x + p * view->step + i * view->apart, w + at, m ? m + at : m, view->part, lanes, shift,
                           acc + p * TFQ_LANES);
        }
}
