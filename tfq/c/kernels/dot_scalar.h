/* Sums of popcounts for one window and the filters of a block, word by word of 32 bits.

   Word k of filter l of a block of `lanes` filters is w[k * lanes + l]. */

/* Defines the sum over k of popcount(TERM), where TERM is made of x[k], v[k], w[k * lanes] and m[k * lanes]. */
#define TFQ_DEFINE_SUM(NAME, TERM)                                                                                               \
    TFQ_INLINE tfq_word NAME##_word(const uint32_t *x, const uint32_t *w, const uint32_t *m, int32_t lanes,                      \
                                    int32_t k)                                                                                   \
    {                                                                                                                            \
        tfq_word word = TERM(k);                                                                                                 \
        (void)x, (void)w, (void)m;                                                                                               \
        if (TFQ_PARTS == 2)                                                                                                      \
            word |= (tfq_word)((uint64_t)TERM(k + 1) << 32);                                                                     \
        return word;                                                                                                             \
    }                                                                                                                            \
                                                                                                                                 \
    TFQ_FUNCTION uint32_t NAME(const uint32_t *x, const uint32_t *w, const uint32_t *m, int32_t lanes,                           \
                               int32_t words)                                                                                    \
    {                                                                                                                            \
        uint32_t total = 0;                                                                                                      \
        int32_t k = 0;                                                                                                           \
        TFQ_SUM_OF_EIGHTS(NAME)                                                                                                  \
        for (; k + TFQ_PARTS <= words; k += TFQ_PARTS)                                                                           \
            total += tfq_popcount(NAME##_word(x, w, m, lanes, k));                                                               \
        for (; k < words; k++)                                                                                                   \
            total += tfq_popcount((tfq_word)TERM(k));                                                                            \
        (void)x, (void)w, (void)m;                                                                                               \
        return total;                                                                                                            \
    }

/* Eight words by carry-save adders, and one popcount: worth it where a popcount takes many instructions. */
#if TFQ_POPCOUNT == TFQ_BUILTIN
#define TFQ_SUM_OF_EIGHTS(NAME)
#else
#define TFQ_NEXT(NAME, i) NAME##_word(x, w, m, lanes, k + (i) * TFQ_PARTS)
#define TFQ_SUM_OF_EIGHTS(NAME)                                                                                                  \
    if (words >= 8 * TFQ_PARTS) {                                                                                                \
        tfq_word ones = 0, twos = 0, fours = 0;                                                                                  \
        for (; k + 8 * TFQ_PARTS <= words; k += 8 * TFQ_PARTS) {                                                                 \
            tfq_word a = tfq_add_bits(&ones, TFQ_NEXT(NAME, 0), TFQ_NEXT(NAME, 1));                                              \
            tfq_word b = tfq_add_bits(&ones, TFQ_NEXT(NAME, 2), TFQ_NEXT(NAME, 3));                                              \
            tfq_word c = tfq_add_bits(&twos, a, b);                                                                              \
            a = tfq_add_bits(&ones, TFQ_NEXT(NAME, 4), TFQ_NEXT(NAME, 5));                                                       \
            b = tfq_add_bits(&ones, TFQ_NEXT(NAME, 6), TFQ_NEXT(NAME, 7));                                                       \
            a = tfq_add_bits(&twos, a, b);                                                                                       \
            total += 8 * tfq_popcount(tfq_add_bits(&fours, c, a));                                                               \
        }                                                                                                                        \
        total += 4 * tfq_popcount(fours) + 2 * tfq_popcount(twos) + tfq_popcount(ones);                                          \
    }
#endif

#define TFQ_XOR(k) (x[k] ^ w[(k) * lanes])
#define TFQ_XOR_M(k) ((x[k] ^ w[(k) * lanes]) & m[(k) * lanes])

TFQ_DEFINE_SUM(tfq_sum_xor, TFQ_XOR)
TFQ_DEFINE_SUM(tfq_sum_xor_m, TFQ_XOR_M)

/* The masks of weights; NULL where all have none. */
#if defined(TFQ_HAS_MASKS)
#define TFQ_MASKS(m) (m)
#else
#define TFQ_MASKS(m) ((void)(m), (const uint32_t *)NULL)
#endif

/* Subtracts sum << shift from each acc[l]. */
TFQ_RARE void tfq_dot_scalar(const uint32_t *x, const uint32_t *w, const uint32_t *m, int32_t words, int32_t lanes,
                                 int32_t shift, int32_t *acc)
{
    int32_t l;

    m = TFQ_MASKS(m);
    for (l = 0; l < lanes; l++)
        acc[l] -= (int32_t)((m ? tfq_sum_xor_m(x, w + l, m + l, lanes, words) : tfq_sum_xor(x, w + l, m, lanes, words)) << shift);
}
