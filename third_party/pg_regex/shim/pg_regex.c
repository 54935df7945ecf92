/* The bounded calls around PostgreSQL's regular expressions, and what these ask the server for. */
#include "pg_regex.h"

#include <stdlib.h>

/* Before postgres.h gives these names to the budget's functions. */
static void* system_realloc(void* memory, size_t bytes) { return realloc(memory, bytes); }
static void system_free(void* memory) { free(memory); }

#include "postgres.h"
#include "regex/regex.h"

_Static_assert(PGRE_ADVANCED == REG_ADVANCED && PGRE_EXTENDED == REG_EXTENDED && PGRE_QUOTE == REG_QUOTE &&
                   PGRE_ICASE == REG_ICASE && PGRE_EXPANDED == REG_EXPANDED && PGRE_NLSTOP == REG_NLSTOP &&
                   PGRE_NLANCH == REG_NLANCH && PGRE_NEWLINE == REG_NEWLINE,
               "flags");
_Static_assert(PGRE_OK == REG_OKAY && PGRE_NO_MATCH == REG_NOMATCH && PGRE_OUT_OF_MEMORY == REG_ESPACE &&
                   PGRE_TOO_COMPLEX == REG_ETOOBIG && PGRE_OUT_OF_STEPS == REG_CANCEL,
               "results");
_Static_assert(sizeof(pgre_span) == sizeof(regmatch_t) && offsetof(pgre_span, end) == offsetof(regmatch_t, rm_eo),
               "spans");

/* The engine goes down by recursion in a pattern's tree. */
enum { kStackBytes = 512 << 10 };

/* In front of each piece of memory: its size, and what keeps the piece aligned. */
typedef union {
  size_t bytes;
  max_align_t aligned;
} header;

__thread struct pgre_thread pgre_thread;

struct pgre {
  regex_t compiled;
};

/* Not the address of a variable: AddressSanitizer keeps variables elsewhere, to see when they are used too late. */
bool stack_is_too_deep(void) {
  const ptrdiff_t used = pgre_thread.stack - (const char*)__builtin_frame_address(0);
  return used > kStackBytes || used < -kStackBytes;
}

void* pgre_realloc(void* memory, size_t bytes) {
  header* old = memory == NULL ? NULL : (header*)memory - 1;
  const size_t had = old == NULL ? 0 : old->bytes;
  if (bytes > SIZE_MAX / 2 || bytes + sizeof(header) > pgre_thread.bytes + had) {
    return NULL;
  }
  header* fresh = system_realloc(old, bytes + sizeof(header));
  if (fresh == NULL) {
    return NULL;
  }
  pgre_thread.bytes = pgre_thread.bytes + had - bytes - sizeof(header);
  fresh->bytes = bytes + sizeof(header);
  /* Memory is filled by whoever asks for it. */
  pgre_spend(bytes / 256);
  return fresh + 1;
}

void* pgre_malloc(size_t bytes) { return pgre_realloc(NULL, bytes); }

void pgre_release(void* memory) {
  if (memory != NULL) {
    header* piece = (header*)memory - 1;
    pgre_thread.bytes += piece->bytes;
    system_free(piece);
  }
}

int pg_char_and_wchar_strncmp(const char* narrow, const pg_wchar* wide, size_t length) {
  for (size_t i = 0; i < length; ++i) {
    if ((unsigned char)narrow[i] != wide[i]) {
      return (unsigned char)narrow[i] < wide[i] ? -1 : 1;
    }
    if (narrow[i] == '\0') {
      break;
    }
  }
  return 0;
}

static void begin(const pgre_budget* budget, const char* stack) {
  pgre_thread.steps = budget->steps;
  pgre_thread.bytes = budget->bytes;
  pgre_thread.stack = stack;
}

static void end(pgre_budget* budget) {
  budget->steps = pgre_thread.steps;
  budget->bytes = pgre_thread.bytes;
}

int pgre_compile(const uint32_t* pattern, size_t length, int flags, pgre_budget* budget, pgre** out) {
  begin(budget, __builtin_frame_address(0));
  pgre* made = pgre_malloc(sizeof(pgre));
  int result = made == NULL ? REG_ESPACE : pg_regcomp(&made->compiled, pattern, length, flags, 1);
  if (result != REG_OKAY) {
    pgre_release(made);
    made = NULL;
  }
  *out = made;
  end(budget);
  return result;
}

void pgre_free(pgre* pattern) {
  if (pattern != NULL) {
    pg_regfree(&pattern->compiled);
    pgre_release(pattern);
  }
}

size_t pgre_groups(const pgre* pattern) { return pattern->compiled.re_nsub; }

int pgre_search(const pgre* pattern, const uint32_t* text, size_t length, size_t start, pgre_span* spans,
                size_t span_count, pgre_budget* budget) {
  begin(budget, __builtin_frame_address(0));
  /* It reads the pattern only, though its type does not say so. */
  const int result = pg_regexec((regex_t*)&pattern->compiled, text, length, start, NULL, span_count,
                                (regmatch_t*)spans, 0);
  end(budget);
  return result;
}

void pgre_error_text(int result, char* out, size_t out_bytes) { pg_regerror(result, NULL, out, out_bytes); }
