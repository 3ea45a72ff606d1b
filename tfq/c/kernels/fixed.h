/* Residual sums in fixed point of 16 bits: q stands for q step, where the step is a power of two, one for each tensor.

   q = round(y / step), ties to even, between -32768 and 32767; NaN gives -32768. See tfq_level about the assignments. */

#define TFQ_HAS_FIXED

TFQ_INLINE float tfq_fixed(float y, float steps_of_one)
{
    float q;

    q = y * steps_of_one;
    q = q > -32768.0f ? q : -32768.0f;
    q = q < 32767.0f ? q : 32767.0f;
    q = q + 12582912.0f;
    q = q - 12582912.0f;
    return q;
}
