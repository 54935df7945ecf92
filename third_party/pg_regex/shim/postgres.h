/* Stands for all of PostgreSQL's headers that its regular expressions include: the few types they
 * use, and instead of the server's memory and interrupts a budget of the thread (pg_regex.c). */
#ifndef MILLRACE_THIRD_PARTY_PG_REGEX_POSTGRES_H_
#define MILLRACE_THIRD_PARTY_PG_REGEX_POSTGRES_H_

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef unsigned int Oid;
typedef unsigned int pg_wchar;
typedef struct varlena text;

#define FLEXIBLE_ARRAY_MEMBER
#define Assert(condition) ((void)0)
#define unlikely(x) __builtin_expect((x) != 0, 0)
#define Min(x, y) ((x) < (y) ? (x) : (y))
#define Max(x, y) ((x) > (y) ? (x) : (y))

static inline bool pg_mul_size_overflow(size_t a, size_t b, size_t* result) {
  return __builtin_mul_overflow(a, b, result);
}

/* What is left to the call that this thread is in. */
struct pgre_thread {
  int64_t steps;
  size_t bytes;
  const char* stack; /* where the call began */
};
extern __thread struct pgre_thread pgre_thread;

static inline void pgre_spend(size_t steps) { pgre_thread.steps -= (int64_t)steps; }
static inline int pgre_out_of_steps(void) { return --pgre_thread.steps < 0; }
bool stack_is_too_deep(void);

#define InterruptPending pgre_out_of_steps()
#define QueryCancelPending 1
#define ProcDiePending 1

void* pgre_malloc(size_t bytes);
void* pgre_realloc(void* memory, size_t bytes);
void pgre_release(void* memory);
#define malloc(bytes) pgre_malloc(bytes)
#define realloc(memory, bytes) pgre_realloc(memory, bytes)
#define free(memory) pgre_release(memory)

int pg_char_and_wchar_strncmp(const char* narrow, const pg_wchar* wide, size_t length);

#endif /* MILLRACE_THIRD_PARTY_PG_REGEX_POSTGRES_H_ */
