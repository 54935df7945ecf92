// Every decoder of bytes that come off a wire or a disk, as something that can be given any bytes.
// A target must end, in bounded time and memory, whatever they are; what it finds wrong it ends the
// process for, as a fuzzer wants it.
//
// replay_test runs all targets over the corpus in the repository (./check). fuzz_main.cc makes them
// libFuzzer's (tests/fuzz/README.md).
#ifndef MILLRACE_TESTS_FUZZ_TARGETS_H_
#define MILLRACE_TESTS_FUZZ_TARGETS_H_

#include <string>
#include <string_view>
#include <vector>

namespace millrace {

struct FuzzTarget {
  std::string name;  // of its folder in corpus/
  void (*run)(std::string_view bytes) = nullptr;
  // Inputs of our own encoders to begin with.
  std::vector<std::string> (*seeds)() = nullptr;
};

const std::vector<FuzzTarget>& FuzzTargets();

// In a file each.
void FuzzBatch(std::string_view bytes);
std::vector<std::string> BatchSeeds();
void FuzzBlock(std::string_view bytes);
std::vector<std::string> BlockSeeds();
void FuzzSnapshot(std::string_view bytes);
std::vector<std::string> SnapshotSeeds();
void FuzzJournal(std::string_view bytes);
std::vector<std::string> JournalSeeds();
void FuzzSavepoint(std::string_view bytes);
std::vector<std::string> SavepointSeeds();
void FuzzJson(std::string_view bytes);
std::vector<std::string> JsonSeeds();
void FuzzCsv(std::string_view bytes);
std::vector<std::string> CsvSeeds();
void FuzzSql(std::string_view bytes);
std::vector<std::string> SqlSeeds();

}  // namespace millrace

#endif  // MILLRACE_TESTS_FUZZ_TARGETS_H_
