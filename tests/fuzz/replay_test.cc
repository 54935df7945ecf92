// Every target over its corpus, its seeds and a fixed number of changes to them: minutes at most,
// so that ./check sees what a fuzzer has found and what it would find at once.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <string>
#include <vector>

#include "tests/fuzz/targets.h"

namespace millrace {
namespace {

constexpr int kChangesPerTarget = 3000;
constexpr size_t kMaxBytes = 16 << 10;

std::vector<std::string> Corpus(const std::string& name) {
  std::vector<std::filesystem::path> paths;
  for (const auto& entry : std::filesystem::directory_iterator("tests/fuzz/corpus/" + name)) {
    paths.push_back(entry.path());
  }
  std::sort(paths.begin(), paths.end());
  std::vector<std::string> inputs;
  for (const auto& path : paths) {
    std::ifstream file(path, std::ios::binary);
    inputs.emplace_back(std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>());
  }
  return inputs;
}

// One of the changes that fuzzers make: bytes flipped, set to limits, cut out, doubled, or taken
// from another input.
std::string Changed(std::string input, const std::string& other, std::mt19937_64* random) {
  const auto below = [random](size_t limit) { return limit == 0 ? 0 : (*random)() % limit; };
  const size_t changes = 1 + below(4);
  for (size_t i = 0; i < changes && !input.empty(); ++i) {
    const size_t at = below(input.size());
    const size_t length = std::min(input.size() - at, 1 + below(16));
    switch (below(6)) {
      case 0:
        input[at] = static_cast<char>(input[at] ^ (1 << below(8)));
        break;
      case 1:
        input[at] = static_cast<char>(below(256));
        break;
      case 2:
        std::fill_n(input.begin() + static_cast<ptrdiff_t>(at), length, below(2) == 0 ? '\xFF' : 0);
        break;
      case 3:
        input.erase(at, length);
        break;
      case 4:
        input.insert(at, input.substr(at, length));
        break;
      default:
        input.replace(at, length, other.substr(below(other.size()), length));
    }
  }
  return input.substr(0, kMaxBytes);
}

class ReplayTest : public testing::TestWithParam<FuzzTarget> {};

TEST_P(ReplayTest, EndsForEveryInput) {
  const FuzzTarget& target = GetParam();
  std::vector<std::string> inputs = target.seeds();
  const std::vector<std::string> corpus = Corpus(target.name);
  inputs.insert(inputs.end(), corpus.begin(), corpus.end());
  for (const std::string& input : inputs) {
    target.run(input);
  }
  std::mt19937_64 random(20250301);
  for (int i = 0; i < kChangesPerTarget; ++i) {
    const std::string& input = inputs[random() % inputs.size()];
    target.run(Changed(input, inputs[random() % inputs.size()], &random));
  }
}

INSTANTIATE_TEST_SUITE_P(Targets, ReplayTest, testing::ValuesIn(FuzzTargets()),
                         [](const auto& target) { return target.param.name; });

}  // namespace
}  // namespace millrace
