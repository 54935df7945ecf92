// Connector generator: generates rows, the same ones every time. A value is a pure function of
// (seed, partition, offset, column). Options: rows_per_second (0 = as fast as they are read), rows
// (in all; then the source is bounded), partitions, seed, and per column kind.<column> = sequence |
// random | words with min., max., cardinality., length., step.<column>.
#ifndef MILLRACE_CONNECTORS_GENERATOR_GENERATOR_H_
#define MILLRACE_CONNECTORS_GENERATOR_GENERATOR_H_

#include <memory>

#include "common/base/clock.h"
#include "connectors/source.h"

namespace millrace::generator {

// `clock` paces rows_per_second.
std::unique_ptr<SourceConnector> NewGeneratorSourceConnector(Clock* clock = Clock::Real());

}  // namespace millrace::generator

#endif  // MILLRACE_CONNECTORS_GENERATOR_GENERATOR_H_
