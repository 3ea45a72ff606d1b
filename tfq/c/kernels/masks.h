/* Weights of 0: a network that has none is compiled without what looks at their masks. */

#define TFQ_HAS_MASKS
