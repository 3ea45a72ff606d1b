/* Where the results of a pool go: a pixel is `step` floats behind the one before, or in its place where the next one follows once
   it is packed. */

typedef struct {
    int32_t step;
    float *target;
    const tfq_packing *packing;
    void *packed;
} tfq_pooled;
