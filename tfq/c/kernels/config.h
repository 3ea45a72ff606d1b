/* What may be chosen when the file is compiled, each by -DNAME=VALUE.

   TFQ_WORD      bits that the scalar code counts at once: 32 or 64.
   TFQ_POPCOUNT  TFQ_BUILTIN, TFQ_SWAR (shifts and sums) or TFQ_TABLE (256 bytes).
   TFQ_SCALAR    defined: no vector instructions. */

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define TFQ_BUILTIN 1
#define TFQ_SWAR 2
#define TFQ_TABLE 3

#ifndef TFQ_WORD
#if UINTPTR_MAX > 0xffffffffu
#define TFQ_WORD 64
#else
#define TFQ_WORD 32
#endif
#endif

/* Where there is no instruction, the builtin is a call into the compiler's library. */
#ifndef TFQ_POPCOUNT
#if defined(__POPCNT__) || defined(__aarch64__) || defined(__riscv_zbb)
#define TFQ_POPCOUNT TFQ_BUILTIN
#else
#define TFQ_POPCOUNT TFQ_SWAR
#endif
#endif

#ifndef TFQ_SCALAR
#if defined(__AVX512F__) && defined(__AVX512VPOPCNTDQ__)
#define TFQ_AVX512
#include <immintrin.h>
#elif defined(__AVX2__)
#define TFQ_AVX2
#include <immintrin.h>
#elif defined(__ARM_NEON) && !defined(__ARM_BIG_ENDIAN)
#define TFQ_NEON
#include <arm_neon.h>
#elif defined(__wasm_simd128__)
#define TFQ_WASM
#include <wasm_simd128.h>
#endif
#endif

/* 16 numbers side by side, which lie anywhere: one register, two or four. */
#if (defined(TFQ_AVX512) || defined(TFQ_AVX2) || defined(TFQ_NEON) || defined(TFQ_WASM)) && (defined(__clang__) || __GNUC__ >= 9)
#define TFQ_VECTORS
typedef float tfq_floats16 __attribute__((vector_size(64), aligned(4), may_alias));
typedef int32_t tfq_ints16 __attribute__((vector_size(64), aligned(4), may_alias));
typedef int16_t tfq_shorts16 __attribute__((vector_size(32), aligned(2), may_alias));
typedef uint8_t tfq_bytes16 __attribute__((vector_size(16), aligned(1), may_alias));
#define TFQ_16(TYPE, POINTER) (*(TYPE *)(void *)(POINTER))
#define TFQ_OF_16(TYPE, POINTER) (*(const TYPE *)(const void *)(POINTER))
#endif

/* Not every network calls every function. What is apart is no part of another's loop, whose registers it would take. */
#if defined(__GNUC__) && !defined(__clang__)
#define TFQ_APART static __attribute__((unused, noinline, noclone))
#elif defined(__GNUC__)
#define TFQ_APART static __attribute__((unused, noinline))
#else
#define TFQ_APART static
#endif
#if defined(__GNUC__)
#define TFQ_FUNCTION static __attribute__((unused))
#define TFQ_INLINE static inline __attribute__((unused, always_inline))
#else
#define TFQ_FUNCTION static
#define TFQ_INLINE static inline
#endif

/* What runs seldom, or for the last few filters only, is made small. */
#if defined(TFQ_VECTORS)
#define TFQ_RARE TFQ_APART __attribute__((cold))
#else
#define TFQ_RARE TFQ_APART
#endif

/* Code whose choices are the same in each round is not to be written once for each of them: gcc would do that 16 times. Where whole
   blocks are vectors already, what is left for the compiler to make vectors of is the last filters, and takes a kilobyte each. */
#if defined(__GNUC__) && !defined(__clang__) && defined(TFQ_VECTORS)
#define TFQ_PLAIN_LOOPS TFQ_APART __attribute__((optimize("no-unswitch-loops", "no-tree-vectorize", "no-tree-loop-distribute-patterns")))
#else
#define TFQ_PLAIN_LOOPS TFQ_APART
#endif

/* Before a loop whose sums are to stay in registers. */
#if defined(__GNUC__) && __GNUC__ >= 8 && !defined(__clang__)
#define TFQ_UNROLL _Pragma("GCC unroll 16")
#else
#define TFQ_UNROLL
#endif

/* Before a loop over the last few filters, which gcc would write out 15 times. */
#if defined(__GNUC__) && __GNUC__ >= 8 && !defined(__clang__) && defined(TFQ_VECTORS)
#define TFQ_ROLLED _Pragma("GCC unroll 1")
#else
#define TFQ_ROLLED
#endif

/* A fused multiply-add rounds once where the network's definition rounds twice. gcc takes -std=c99 or -ffp-contract=off for that. */
#if defined(__clang__)
#pragma STDC FP_CONTRACT OFF
#endif

/* Filters that lie side by side, and windows of a row that are computed together, where their sums fit the registers. */
#if defined(TFQ_AVX512)
enum { TFQ_LANES = 16, TFQ_POSITIONS = 8 };
#else
enum { TFQ_LANES = 16, TFQ_POSITIONS = 1 };
#endif

TFQ_INLINE int32_t tfq_smaller(int32_t a, int32_t b) { return a < b ? a : b; }

TFQ_INLINE int32_t tfq_larger(int32_t a, int32_t b) { return a > b ? a : b; }
