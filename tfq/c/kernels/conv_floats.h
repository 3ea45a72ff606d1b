/* The convolution: windows are copied, four at a time, and a block of filters sums each. */

/* Some values that lie side by side, quantized. */
TFQ_INLINE void tfq_take(const float *from, int32_t count, int32_t quantizer, float *to)
{
    int32_t i = 0;

#if defined(TFQ_VECTORS)
    for (; i + TFQ_LANES <= count; i += TFQ_LANES) {
        tfq_floats16 values = TFQ_OF_16(tfq_floats16, from + i);
        tfq_quantize_16(&values, quantizer);
        TFQ_16(tfq_floats16, to + i) = values;
    }
#endif
    /* What is summed next is read number by number: of masked stores it would have to wait for the memory. */
    for (; quantizer == TFQ_NO_QUANTIZER && i + 4 <= count; i += 4)
        memcpy(to + i, from + i, 16);
    for (; i < count; i++)
        to[i] = tfq_quantized(from[i], quantizer);
}

/* One window of some channels; a row of it at once, where its values lie side by side. */
TFQ_PLAIN_LOOPS void tfq_gather_floats(const tfq_floats *s, const float *x, int32_t position, int32_t first, int32_t channels,
                                       float *window)
{
    const tfq_windows *at = &s->windows;
    const int32_t top = position / at->out_width * at->stride_y - at->top, left = position % at->out_width * at->stride_x - at->left;
    const int32_t is_whole = at->dilation_x == 1 && channels == at->channels && left >= 0 && left + at->kernel_width <= at->width;
    const int32_t taps = is_whole ? 1 : at->kernel_width, count = is_whole ? at->kernel_width * channels : channels;
    int32_t i, j, c;

    for (i = 0; i < at->kernel_height; i++) {
        const int32_t y = top + i * at->dilation_y, is_outside = y < 0 || y >= at->height;
        for (j = 0; j < taps; j++, window += count) {
            const int32_t column = left + j * at->dilation_x;
            if (is_outside || column < 0 || column >= at->width)
                for (c = 0; c < count; c++)
                    window[c] = s->fill;
            else
                tfq_take(x + ((ptrdiff_t)y * at->width + column) * at->channels + first, count, s->quantizer, window);
        }
    }
}

TFQ_PLAIN_LOOPS void tfq_conv_floats(const tfq_floats *s, const tfq_results *results, const float *x, float *scratch,
                                  const tfq_places *places)
{
    const int32_t total = s->windows.out_height * s->windows.out_width, channels = s->windows.channels / s->groups;
    const int32_t filters = s->filters / s->groups, count = s->count;
    int32_t begin, group, first, p;

    for (group = 0; group < s->groups; group++)
        for (begin = 0; begin < total; begin += TFQ_WINDOWS) {
            const int32_t windows = tfq_smaller(TFQ_WINDOWS, total - begin);
            for (p = 0; p < windows; p++)
                tfq_gather_floats(s, x, begin + p, group * channels, channels, scratch + (size_t)p * (size_t)count);
            for (first = 0; first < filters; first += TFQ_LANES) {
                const int32_t lanes = tfq_smaller(TFQ_LANES, filters - first);
                const size_t at = ((size_t)group * (size_t)filters + (size_t)first) * (size_t)count;
                const size_t blocks = (size_t)group * (size_t)((filters + TFQ_LANES - 1) / TFQ_LANES) + (size_t)(first / TFQ_LANES);
                float sums[TFQ_WINDOWS * TFQ_LANES] = {0};
#if defined(TFQ_HAS_FLOATS)
                if (s->kind == TFQ_FLOATS)
                    tfq_sum_floats(scratch, (const float *)s->weights + at, count, lanes, windows, sums);
#endif
#if defined(TFQ_HAS_INT8)
                if (s->kind == TFQ_INT8)
                    tfq_sum_int8(scratch, (const int8_t *)s->weights + at, count, lanes, windows, sums);
#endif
#if defined(TFQ_HAS_INT16)
                if (s->kind == TFQ_INT16)
                    tfq_sum_int16(scratch, (const int16_t *)s->weights + at, count, lanes, windows, sums);
#endif
#if defined(TFQ_HAS_SIGNS)
                if (s->kind == TFQ_SIGNS)
                    tfq_sum_signs(scratch, (const uint16_t *)s->weights + blocks * (size_t)count * 2, count, lanes, windows, sums);
#endif
                (void)at, (void)blocks;
                tfq_finish(results, places, begin, windows, group * filters + first, lanes, sums);
            }
        }
}
