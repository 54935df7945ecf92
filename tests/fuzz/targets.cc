#include "tests/fuzz/targets.h"

namespace millrace {

const std::vector<FuzzTarget>& FuzzTargets() {
  static const std::vector<FuzzTarget>& targets = *new std::vector<FuzzTarget>{
      {"batch", &FuzzBatch, &BatchSeeds},
      {"block", &FuzzBlock, &BlockSeeds},
      {"snapshot", &FuzzSnapshot, &SnapshotSeeds},
      {"journal", &FuzzJournal, &JournalSeeds},
      {"savepoint", &FuzzSavepoint, &SavepointSeeds},
      {"json", &FuzzJson, &JsonSeeds},
      {"csv", &FuzzCsv, &CsvSeeds},
      {"sql", &FuzzSql, &SqlSeeds},
  };
  return targets;
}

}  // namespace millrace
