/* PostgreSQL's regular expressions outside of PostgreSQL, bounded: what a call may spend in steps
 * and in memory is given with it. Patterns and texts are arrays of Unicode code points.
 *
 * Thread safety: a compiled pattern is immutable; any number of threads may search with it at once.
 */
#ifndef MILLRACE_THIRD_PARTY_PG_REGEX_PG_REGEX_H_
#define MILLRACE_THIRD_PARTY_PG_REGEX_PG_REGEX_H_

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Flags of pgre_compile, as regex/regex.h has them. */
enum {
  PGRE_EXTENDED = 01,
  PGRE_ADVANCED = 03,
  PGRE_QUOTE = 04,
  PGRE_ICASE = 010,
  PGRE_EXPANDED = 040,
  PGRE_NLSTOP = 0100,
  PGRE_NLANCH = 0200,
  PGRE_NEWLINE = 0300,
};

/* Results; others are errors in the pattern that pgre_error_text names. */
enum {
  PGRE_OK = 0,
  PGRE_NO_MATCH = 1,
  PGRE_OUT_OF_MEMORY = 12,
  PGRE_TOO_COMPLEX = 19,
  PGRE_OUT_OF_STEPS = 21,
};

/* What is left to spend. A step is about one character looked at by one automaton. */
typedef struct {
  int64_t steps;
  size_t bytes;
} pgre_budget;

/* Code points [begin, end) of a text; both −1 for a group that took no part. */
typedef struct {
  long begin;
  long end;
} pgre_span;

/* What PostgreSQL asks the locale. */
typedef struct {
  int (*is_digit)(uint32_t c);
  int (*is_alpha)(uint32_t c);
  int (*is_alnum)(uint32_t c);
  int (*is_upper)(uint32_t c);
  int (*is_lower)(uint32_t c);
  int (*is_graph)(uint32_t c);
  int (*is_print)(uint32_t c);
  int (*is_punct)(uint32_t c);
  int (*is_space)(uint32_t c);
  uint32_t (*to_upper)(uint32_t c);
  uint32_t (*to_lower)(uint32_t c);
} pgre_characters;

/* Once, before anything else; the functions stay for good. */
void pgre_set_characters(const pgre_characters* characters);

typedef struct pgre pgre;

/* On PGRE_OK `*out` is to be freed. What it holds has been taken from `budget->bytes`. */
int pgre_compile(const uint32_t* pattern, size_t length, int flags, pgre_budget* budget,
                 pgre** out);
void pgre_free(pgre* pattern);
size_t pgre_groups(const pgre* pattern);

/* The first match at or behind `start`: the whole and then its groups, as many as there is room
 * for. Memory is given back before it returns. */
int pgre_search(const pgre* pattern, const uint32_t* text, size_t length, size_t start,
                pgre_span* spans, size_t span_count, pgre_budget* budget);

/* PostgreSQL's words for a result. */
void pgre_error_text(int result, char* out, size_t out_bytes);

#ifdef __cplusplus
}
#endif

#endif /* MILLRACE_THIRD_PARTY_PG_REGEX_PG_REGEX_H_ */
