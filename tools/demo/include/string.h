/* All of the C library that a network asks for. clang makes instructions of these: memory.copy and memory.fill. */

#define memcpy __builtin_memcpy
#define memset __builtin_memset
