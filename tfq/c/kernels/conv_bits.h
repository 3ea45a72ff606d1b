/* A convolution, or a product of matrices, of bits.

   For signs x and w of n weights, sum x w = n - 2 popcount(x ^ w). Levels and weights of several bits are pairs of planes, each
   counted 2^shift times. Sums are base - (popcounts). */

enum { TFQ_OUTSIDE_0 = 0, TFQ_OUTSIDE_1 = 1, TFQ_OUTSIDE_LEFT_OUT = 2, TFQ_MOST_PLANES = 8 };

typedef struct {
    tfq_windows windows;
    int32_t filters, words, input_words, input_planes, plane;
    int32_t outside;
    int32_t row; /* pixels of a row with its margins, where a row of taps may be copied as a whole; else 0 */
    int32_t pairs;
    const uint8_t *pair; /* plane of the inputs, plane of the weights, shift */
    const uint32_t *weights, *masks;
    const int32_t *base;
    const int32_t *outside_sums; /* what each tap outside adds, a row a tap; or NULL */
} tfq_bits;

/* Ors the bits of one pixel into a window, from bit `at` on. */
TFQ_INLINE void tfq_insert(uint32_t *window, int32_t at, const uint32_t *pixel, int32_t words, int32_t channels)
{
    const int32_t shift = at % 32;
    int32_t k, rest = channels;

    window += at / 32;
    for (k = 0; k < words; k++, rest -= 32) {
        window[k] |= pixel[k] << shift;
        if (shift && tfq_smaller(rest, 32) + shift > 32)
            window[k + 1] |= pixel[k] >> (32 - shift);
    }
}

/* Sets `count` bits, 1 or more. */
TFQ_INLINE void tfq_set(uint32_t *window, int32_t at, int32_t count)
{
    const int32_t last = at + count - 1;
    const uint32_t head = 0xffffffffu << at % 32, tail = 0xffffffffu >> (31 - last % 32);
    int32_t k;

    if (at / 32 == last / 32) {
        window[at / 32] |= head & tail;
        return;
    }
    window[at / 32] |= head;
    for (k = at / 32 + 1; k < last / 32; k++)
        window[k] = 0xffffffffu;
    window[last / 32] |= tail;
}

/* Copies the bits of one window. */
TFQ_RARE void tfq_gather_bits(const tfq_bits *s, const uint32_t *x, int32_t position, uint32_t *window)
{
    const tfq_windows *at = &s->windows;
    const int32_t channels = at->channels, words = s->input_words;
    const int32_t top = position / at->out_width * at->stride_y - at->top, left = position % at->out_width * at->stride_x - at->left;
    int32_t i, j, k, bit = 0;

    memset(window, 0, (size_t)s->words * 4);
    for (i = 0; i < at->kernel_height; i++) {
        const int32_t row = top + i * at->dilation_y, is_outside = row < 0 || row >= at->height;
        for (j = 0; j < at->kernel_width; j++, bit += channels) {
            const int32_t column = left + j * at->dilation_x;
            const uint32_t *from = x + ((ptrdiff_t)row * at->width + column) * words;
            if (is_outside || column < 0 || column >= at->width) {
                if (s->outside == TFQ_OUTSIDE_1)
                    tfq_set(window, bit, channels);
            } else if (channels % 32 == 0) {
                for (k = 0; k < words; k++)
                    window[bit / 32 + k] = from[k];
            } else if (channels == 16) {
                window[bit / 32] |= from[0] << bit % 32;
            } else {
                tfq_insert(window, bit, from, words, channels);
            }
        }
    }
}

/* What the weights of each tap sum to, a row a tap: the inputs outside are read as -1, and this leaves them out. */
TFQ_PLAIN_LOOPS void tfq_sum_taps(const tfq_bits *s, int32_t *sums)
{
    const int32_t taps = s->windows.kernel_height * s->windows.kernel_width, channels = s->windows.channels;
    int32_t first, tap, i, k, l;

    memset(sums, 0, (size_t)taps * (size_t)s->filters * 4);
    for (first = 0; first < s->filters; first += TFQ_LANES)
        for (tap = 0; tap < taps; tap++)
            for (i = 0; i < s->pairs; i++) {
                const int32_t lanes = tfq_smaller(TFQ_LANES, s->filters - first), begin = tap * channels, end = begin + channels;
                const uint8_t *pair = s->pair + (size_t)i * 3;
                const size_t at = ((size_t)pair[1] * (size_t)s->filters + (size_t)first) * (size_t)s->words;
                int32_t *of_tap = sums + tap * s->filters + first;
                for (k = begin / 32; k * 32 < end; k++) {
                    const uint32_t from = k * 32 < begin ? 0xffffffffu << begin % 32 : 0xffffffffu;
                    const uint32_t those = k * 32 + 32 > end ? from & 0xffffffffu >> (32 - end % 32) : from;
                    const uint32_t *w = s->weights + at + (size_t)k * (size_t)lanes;
                    const uint32_t *m = TFQ_MASKS(s->masks) ? s->masks + at + (size_t)k * (size_t)lanes : NULL;
#if defined(TFQ_AVX512)
                    if (lanes == TFQ_LANES) {
                        const __m512i mask = _mm512_set1_epi32((int)those), of_w = _mm512_loadu_si512((const void *)w);
                        const __m512i of_m = m ? _mm512_loadu_si512((const void *)m) : mask;
                        const __m512i ones = _mm512_popcnt_epi32(_mm512_and_si512(of_w, mask));
                        const __m512i all = _mm512_popcnt_epi32(_mm512_and_si512(of_m, mask));
                        const __m512i sum = _mm512_sub_epi32(_mm512_add_epi32(ones, ones), all);
                        const __m512i before = _mm512_loadu_si512((const void *)of_tap);
                        _mm512_storeu_si512((void *)of_tap,
                                            _mm512_add_epi32(before, _mm512_sll_epi32(sum, _mm_cvtsi32_si128(pair[2] - 1))));
                        continue;
                    }
#endif
                    TFQ_ROLLED
                    for (l = 0; l < lanes; l++) {
                        const int32_t ones = (int32_t)tfq_popcount(w[l] & those);
                        of_tap[l] += (2 * ones - (int32_t)tfq_popcount(m ? m[l] & those : those)) * (1 << (pair[2] - 1));
                    }
                }
            }
}

#if defined(TFQ_AVX512)

/* Copies the rows that the windows of row `y` lie in, with their margins; of 16 channels, without what is left of their words. */
TFQ_PLAIN_LOOPS void tfq_copy_rows(const tfq_bits *s, const uint32_t *x, int32_t y, uint32_t *rows)
{
    const tfq_windows *at = &s->windows;
    const int32_t words = s->input_words, fill = s->outside == TFQ_OUTSIDE_1 ? 255 : 0, size = at->channels / 8;
    const int32_t inside = tfq_smaller(at->width, s->row - at->left), right = s->row - at->left - inside;
    uint8_t *to = (uint8_t *)rows;
    int32_t i, k;

    for (i = 0; i < at->kernel_height; i++, to += s->row * size) {
        const int32_t from = y * at->stride_y - at->top + i * at->dilation_y;
        const uint32_t *pixel = x + (ptrdiff_t)from * at->width * words;
        if (from < 0 || from >= at->height) {
            memset(to, fill, (size_t)(s->row * size));
            continue;
        }
        memset(to, fill, (size_t)(at->left * size));
        if (size == 2)
            for (k = 0; k < inside; k++)
                memcpy(to + (at->left + k) * 2, pixel + k, 2);
        else
            memcpy(to + at->left * size, pixel, (size_t)(inside * size));
        memset(to + (at->left + inside) * size, fill, (size_t)(right * size));
    }
}

/* Copies windows of 16 channels from their rows; of 3 x 3 taps as numbers of 64 bits, which reach 2 bytes beyond the last row. */
TFQ_PLAIN_LOOPS void tfq_gather_halves(const tfq_bits *s, const uint32_t *rows, int32_t first, int32_t positions, uint32_t *windows)
{
    const tfq_windows *at = &s->windows;
    const int32_t width = at->kernel_width * 2, row = s->row * 2;
    int32_t p, i, k;

    for (p = 0; p < positions; p++, windows += s->words) {
        const uint8_t *from = (const uint8_t *)rows + (first + p) * at->stride_x * 2;
        uint8_t *to = (uint8_t *)windows;
        windows[s->words - 1] = 0;
        if (width == 6 && at->kernel_height == 3) {
            uint64_t a, b, c;
            memcpy(&a, from, 8), memcpy(&b, from + row, 8), memcpy(&c, from + 2 * row, 8);
            b &= 0xffffffffffffu;
            a = (a & 0xffffffffffffu) | b << 48, b = b >> 16 | c << 32;
            memcpy(to, &a, 8), memcpy(to + 8, &b, 8);
            windows[4] = (uint32_t)(c >> 32) & 0xffffu;
            continue;
        }
        for (i = 0; i < at->kernel_height; i++, from += row, to += width)
            for (k = 0; k < width; k += 2)
                memcpy(to + k, from + k, 2);
    }
}

#endif

/* Sums of all filters of some windows of a row, and what follows them. */
TFQ_FUNCTION void tfq_bits_of(const tfq_bits *s, const int32_t *outside, const tfq_results *results, const tfq_view *view,
                              int32_t y, int32_t x, int32_t positions, const tfq_places *places)
{
    const tfq_windows *at = &s->windows;
    const int32_t position = y * at->out_width + x, top = y * at->stride_y - at->top;
    const int32_t is_edge = top < 0 || top + (at->kernel_height - 1) * at->dilation_y >= at->height;
    int32_t first, p, i;

    for (first = 0; first < s->filters; first += TFQ_LANES) {
        const int32_t lanes = tfq_smaller(TFQ_LANES, s->filters - first);
        int32_t sums[TFQ_POSITIONS * TFQ_LANES];
        for (p = 0; p < positions; p++)
            tfq_copy_sums(s->base + first, lanes, sums + p * TFQ_LANES);
        for (i = 0; i < s->pairs; i++) {
            const uint8_t *pair = s->pair + (size_t)i * 3;
            const size_t from = ((size_t)pair[1] * (size_t)s->filters + (size_t)first) * (size_t)s->words;
            tfq_dot(view + pair[0], s->weights + from, s->masks ? s->masks + from : NULL, lanes, positions, pair[2], sums);
        }
        for (p = 0; p < positions && outside; p++) {
            const int32_t left = (x + p) * at->stride_x - at->left, right = left + (at->kernel_width - 1) * at->dilation_x;
            if (is_edge || left < 0 || right >= at->width)
                tfq_add_outside(at, outside + first, s->filters, position + p, lanes, sums + p * TFQ_LANES);
        }
        tfq_finish_integers(results, places, position, positions, first, lanes, sums);
    }
}

/* The scratch holds windows, or the rows that they lie in, and before them what taps that are left out sum to. */
TFQ_FUNCTION void tfq_conv_bits(const tfq_bits *s, const tfq_results *results, const uint32_t *x, uint32_t *scratch,
                                const tfq_places *places)
{
    const int32_t width = s->windows.out_width, height = s->windows.kernel_height, words = s->words;
    const int32_t *outside = s->outside_sums;
    tfq_view view[TFQ_MOST_PLANES];
    int32_t y, begin, positions, p, i;

    if (s->outside == TFQ_OUTSIDE_LEFT_OUT) {
        outside = (const int32_t *)scratch;
        tfq_sum_taps(s, (int32_t *)scratch);
        scratch += height * s->windows.kernel_width * s->filters;
    }
    for (y = 0; y < s->windows.out_height; y++) {
#if defined(TFQ_AVX512)
        const int32_t is_half = s->windows.channels == 16, row = is_half ? (s->row + 1) / 2 : s->row * s->input_words;
        uint32_t *const rows = scratch + (is_half ? s->input_planes * TFQ_POSITIONS * words : 0);
        for (i = 0; i < s->input_planes && s->row; i++)
            tfq_copy_rows(s, x + (size_t)i * (size_t)s->plane, y, rows + i * height * row);
#endif
        for (begin = 0; begin < width; begin += positions) {
            positions = width - begin < TFQ_POSITIONS ? 1 : TFQ_POSITIONS;
            for (i = 0; i < s->input_planes; i++) {
                uint32_t *const windows = scratch + i * TFQ_POSITIONS * words;
                view[i] = (tfq_view){windows, words, 1, 0, words};
#if defined(TFQ_AVX512)
                if (s->row && !is_half) {
                    const int32_t step = s->windows.stride_x * s->input_words;
                    view[i] = (tfq_view){rows + i * height * row + begin * step, words / height, height, row, step};
                    continue;
                }
                if (s->row) {
                    tfq_gather_halves(s, rows + i * height * row, begin, positions, windows);
                    continue;
                }
#endif
                for (p = 0; p < positions; p++)
                    tfq_gather_bits(s, x + (size_t)i * (size_t)s->plane, y * width + begin + p, windows + p * words);
            }
            tfq_bits_of(s, outside, results, view, y, begin, positions, places);
        }
    }
}
