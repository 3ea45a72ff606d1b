/* As much of Arduino as an example calls, for this machine; what is printed goes to standard output. */

#ifndef ARDUINO_H
#define ARDUINO_H

#include <stdint.h>
#include <stdio.h>

class Port {
  public:
    void begin(unsigned long) {}
    operator bool() { return true; }
    void print(const char *text) { fputs(text, stdout); }
    void print(int value) { printf("%d", value); }
    void print(double value, int digits) { printf("%.*f", digits, value); }
    void println(const char *text) { puts(text); }
    void println(unsigned long value) { printf("%lu\n", value); }
};

static Port Serial;

static inline unsigned long millis() { return 0; }
static inline unsigned long micros() { return 7; }
static inline void delay(unsigned long) {}

#endif
