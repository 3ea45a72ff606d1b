/* Copies blocks of rows of `size` numbers; sources and targets each have a step from row to row, and from block to block. */

typedef struct {
    int32_t blocks, rows, size, source_block, source_row, target_first, target_block, target_row;
} tfq_rows;

TFQ_FUNCTION void tfq_copy(const tfq_rows *s, const float *x, float *target)
{
    int32_t block, row;

    for (block = 0; block < s->blocks; block++)
        for (row = 0; row < s->rows; row++)
            memcpy(target + s->target_first + (size_t)block * (size_t)s->target_block + (size_t)row * (size_t)s->target_row,
                   x + (size_t)block * (size_t)s->source_block + (size_t)row * (size_t)s->source_row, (size_t)s->size * sizeof *x);
}

TFQ_FUNCTION void tfq_clear(size_t size, float *target)
{
    size_t i;

    for (i = 0; i < size; i++)
        target[i] = 0.0f;
}
