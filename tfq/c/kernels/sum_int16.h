/* Weights in 16 bits. */

#define TFQ_HAS_INT16

TFQ_DEFINE_FLOATS(tfq_sum_int16, int16_t)
