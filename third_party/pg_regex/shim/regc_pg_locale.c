/* Stands for PostgreSQL's file of this name, which asks the C library by a locale held in static variables and
 * caches without a lock. Here the caller of the library is asked (pg_regex.h), and the caches are filled once. */
#include <pthread.h>

#include "pg_regex.h"

static const pgre_characters *pgre_chars;

void
pg_set_regex_collation(Oid collation)
{
	(void) collation;
}

static int	pg_wc_isdigit(pg_wchar c) { return pgre_chars->is_digit(c); }
static int	pg_wc_isalpha(pg_wchar c) { return pgre_chars->is_alpha(c); }
static int	pg_wc_isalnum(pg_wchar c) { return pgre_chars->is_alnum(c); }
static int	pg_wc_isword(pg_wchar c) { return c == '_' || pgre_chars->is_alnum(c); }
static int	pg_wc_isupper(pg_wchar c) { return pgre_chars->is_upper(c); }
static int	pg_wc_islower(pg_wchar c) { return pgre_chars->is_lower(c); }
static int	pg_wc_isgraph(pg_wchar c) { return pgre_chars->is_graph(c); }
static int	pg_wc_isprint(pg_wchar c) { return pgre_chars->is_print(c); }
static int	pg_wc_ispunct(pg_wchar c) { return pgre_chars->is_punct(c); }
static int	pg_wc_isspace(pg_wchar c) { return pgre_chars->is_space(c); }
static pg_wchar pg_wc_toupper(pg_wchar c) { return pgre_chars->to_upper(c); }
static pg_wchar pg_wc_tolower(pg_wchar c) { return pgre_chars->to_lower(c); }

typedef int (*pg_wc_probefunc) (pg_wchar c);

/* The members of a class up to MAX_SIMPLE_CHR as ranges; the engine asks one by one for those above. */
struct class_members
{
	pg_wc_probefunc probe;
	enum char_classes code;
	struct cvec cv;
	chr			ranges[MAX_SIMPLE_CHR + 2];
};

static struct class_members pgre_classes[] = {
	{pg_wc_isdigit, CC_DIGIT}, {pg_wc_isalpha, CC_ALPHA}, {pg_wc_isalnum, CC_ALNUM}, {pg_wc_isword, CC_WORD},
	{pg_wc_isupper, CC_UPPER}, {pg_wc_islower, CC_LOWER}, {pg_wc_isgraph, CC_GRAPH}, {pg_wc_isprint, CC_PRINT},
	{pg_wc_ispunct, CC_PUNCT}, {pg_wc_isspace, CC_SPACE},
};
enum { NUM_PGRE_CLASSES = sizeof(pgre_classes) / sizeof(pgre_classes[0]) };

static void
fill_classes(void)
{
	for (int i = 0; i < NUM_PGRE_CLASSES; i++)
	{
		struct class_members *class = &pgre_classes[i];
		struct cvec *cv = &class->cv;

		cv->ranges = class->ranges;
		for (chr c = 0; c <= MAX_SIMPLE_CHR; c++)
		{
			if (!class->probe(c))
				continue;
			if (cv->nranges == 0 || cv->ranges[cv->nranges * 2 - 1] != c - 1)
				cv->ranges[2 * cv->nranges++] = c;
			cv->ranges[cv->nranges * 2 - 1] = c;
		}
		cv->rangespace = cv->nranges;
		cv->cclasscode = class->code;
	}
}

void
pgre_set_characters(const pgre_characters *characters)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	pgre_chars = characters;
	pthread_once(&once, fill_classes);
}

static struct cvec *
pg_ctype_get_cache(pg_wc_probefunc probefunc, int cclasscode)
{
	for (int i = 0; i < NUM_PGRE_CLASSES; i++)
	{
		if (pgre_classes[i].probe == probefunc && (int) pgre_classes[i].code == cclasscode)
			return &pgre_classes[i].cv;
	}
	return NULL;
}
