/* Weights in 8 bits. */

#define TFQ_HAS_INT8

TFQ_DEFINE_FLOATS(tfq_sum_int8, int8_t)
