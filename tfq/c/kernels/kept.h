/* Integer sums that are kept for a pool: a network without them is compiled without what stores them. */

#define TFQ_HAS_KEPT
