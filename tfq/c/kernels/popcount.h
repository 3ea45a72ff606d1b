/* How many bits of a word are 1. */

#if TFQ_WORD == 64
typedef uint64_t tfq_word;
#else
typedef uint32_t tfq_word;
#endif

enum { TFQ_PARTS = TFQ_WORD / 32 };

#if TFQ_POPCOUNT == TFQ_BUILTIN

TFQ_INLINE uint32_t tfq_popcount(tfq_word x)
{
#if TFQ_WORD == 64
    return (uint32_t)__builtin_popcountll(x);
#else
    return (uint32_t)__builtin_popcountl(x);
#endif
}

#elif TFQ_POPCOUNT == TFQ_SWAR

TFQ_INLINE uint32_t tfq_popcount(tfq_word x)
{
    const tfq_word ones = (tfq_word)-1;

    x -= (x >> 1) & (ones / 3);
    x = (x & (ones / 5)) + ((x >> 2) & (ones / 5));
    x = (x + (x >> 4)) & (ones / 17);
    return (uint32_t)((tfq_word)(x * (ones / 255)) >> (TFQ_WORD - 8));
}

#else

#define TFQ_COUNT_2(n) (n), (n) + 1, (n) + 1, (n) + 2
#define TFQ_COUNT_4(n) TFQ_COUNT_2(n), TFQ_COUNT_2((n) + 1), TFQ_COUNT_2((n) + 1), TFQ_COUNT_2((n) + 2)
#define TFQ_COUNT_6(n) TFQ_COUNT_4(n), TFQ_COUNT_4((n) + 1), TFQ_COUNT_4((n) + 1), TFQ_COUNT_4((n) + 2)

static const uint8_t tfq_counts[256] = {TFQ_COUNT_6(0), TFQ_COUNT_6(1), TFQ_COUNT_6(1), TFQ_COUNT_6(2)};

TFQ_INLINE uint32_t tfq_popcount(tfq_word x)
{
    uint32_t count = 0;
    int32_t i;

    for (i = 0; i < TFQ_WORD; i += 8)
        count += tfq_counts[(x >> i) & 255];
    return count;
}

#endif

/* A carry-save adder: the sum of three bits in each place, as two bits. */
TFQ_INLINE tfq_word tfq_add_bits(tfq_word *sum, tfq_word a, tfq_word b)
{
    tfq_word half = *sum ^ a, carry = (*sum & a) | (half & b);

    *sum = half ^ b;
    return carry;
}
