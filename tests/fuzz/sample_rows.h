// Rows that seeds are made of, and what is done with rows that a decoder has let through.
#ifndef MILLRACE_TESTS_FUZZ_SAMPLE_ROWS_H_
#define MILLRACE_TESTS_FUZZ_SAMPLE_ROWS_H_

#include "common/columnar/batch.h"

namespace millrace {

// A few rows with a column of every type, NULLs, weights and hashes.
Batch SampleRows();

// Reads every value in every way that operators do: printed, hashed, compared, copied, encoded and
// decoded again. Ends the process if the last gives other rows.
void UseRows(const Batch& batch);

}  // namespace millrace

#endif  // MILLRACE_TESTS_FUZZ_SAMPLE_ROWS_H_
