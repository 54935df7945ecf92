// The checks of append outputs: every source record once, in order within a lane.
#include <algorithm>
#include <numeric>

#include "absl/strings/str_cat.h"
#include "common/base/status.h"
#include "tests/chaos/checks.h"
#include "tests/chaos/row.h"

namespace millrace::chaos {
namespace {

// Which records of one source partition have come.
class Coverage {
 public:
  // False if it was there already.
  bool Mark(int64_t n) {
    const size_t word = static_cast<size_t>(n) / 64;
    if (word >= words_.size()) {
      words_.resize(std::max(word + 1, words_.size() * 2));
    }
    const uint64_t bit = uint64_t{1} << (n % 64);
    if ((words_[word] & bit) != 0) {
      return false;
    }
    words_[word] |= bit;
    frontier_ = std::max(frontier_, n + 1);
    return true;
  }

  bool Has(int64_t n) const {
    const size_t word = static_cast<size_t>(n) / 64;
    return word < words_.size() && (words_[word] >> (n % 64) & 1) != 0;
  }

  int64_t frontier() const { return frontier_; }

 private:
  std::vector<uint64_t> words_;
  int64_t frontier_ = 0;
};

class AppendCheck : public OutputCheck {
 public:
  AppendCheck(const Truth& truth, Findings* findings, Seen seen, bool filtered)
      : OutputCheck(truth, findings, std::move(seen)),
        filtered_(filtered),
        coverage_(static_cast<size_t>(truth.partitions)),
        prefix_(static_cast<size_t>(truth.partitions), 0) {}

  bool Complete(const Counts& produced) override {
    for (size_t p = 0; p < coverage_.size(); ++p) {
      if (Prefix(p, produced[p]) < produced[p]) {
        return false;
      }
    }
    return true;
  }

  void Finish(const Counts& produced) override {
    for (size_t p = 0; p < coverage_.size(); ++p) {
      const auto partition = static_cast<int32_t>(p);
      for (int64_t n = prefix_[p]; n < produced[p]; ++n) {
        if (Expected(partition, n) && !coverage_[p].Has(n)) {
          findings_.Add(Fault::kLost, absl::StrCat("record ", n, " of partition ", p));
        }
      }
      if (coverage_[p].frontier() > produced[p]) {
        findings_.Add(Fault::kWrong,
                      absl::StrCat("record ", coverage_[p].frontier() - 1, " of partition ", p,
                                   " was never sent; ", produced[p], " were"));
      }
    }
  }

  void ExpectBelow(const Counts& frontier) override {
    for (size_t p = 0; p < coverage_.size(); ++p) {
      const int64_t prefix = Prefix(p, frontier[p]);
      if (prefix < frontier[p] && prefix > complained_) {
        complained_ = prefix;
        findings_.Add(Fault::kRegressed,
                      absl::StrCat("a gap: record ", frontier[p] - 1, " of partition ", p,
                                   " is out, record ", prefix, " before it is not"));
      }
    }
  }

 protected:
  // One past the last record seen, by partition.
  Counts AllSeen() const {
    Counts frontier;
    for (const Coverage& each : coverage_) {
      frontier.push_back(each.frontier());
    }
    return frontier;
  }

  bool Expected(int32_t partition, int64_t n) const {
    return !filtered_ || truth_.PassesFilter(partition, n);
  }

  bool Known(int64_t partition, int64_t n) const {
    return partition >= 0 && partition < truth_.partitions && n >= 0 && n < (int64_t{1} << 32);
  }

  void Mark(const OutputRecord& record, int32_t partition, int64_t n) {
    Coverage& coverage = coverage_[static_cast<size_t>(partition)];
    if (!coverage.Mark(n)) {
      findings_.Add(Fault::kDuplicated, absl::StrCat("record ", n, " of partition ", partition,
                                                     ", again at ", ToAbsl(record.where)));
    } else {
      seen_(partition, n);
    }
  }

  // Within a lane, what comes from one partition keeps its order.
  void CheckOrder(const OutputRecord& record, int32_t partition, int64_t n) {
    auto [last, first_time] = last_.try_emplace({record.lane, partition}, n);
    if (first_time) {
      return;
    }
    if (n < last->second) {
      findings_.Add(Fault::kRegressed,
                    absl::StrCat("record ", n, " of partition ", partition, " after record ",
                                 last->second, " at ", ToAbsl(record.where)));
    }
    last->second = n;
  }

 private:
  // The first expected record that has not come, at most `limit`.
  int64_t Prefix(size_t p, int64_t limit) {
    int64_t& prefix = prefix_[p];
    while (prefix < limit &&
           (coverage_[p].Has(prefix) || !Expected(static_cast<int32_t>(p), prefix))) {
      ++prefix;
    }
    return prefix;
  }

  const bool filtered_;
  std::vector<Coverage> coverage_;  // by partition
  Counts prefix_;                   // all expected records before it have come
  int64_t complained_ = -1;         // a gap is told once
  std::map<std::pair<int, int32_t>, int64_t> last_;
};

class RowsCheck : public AppendCheck {
 public:
  RowsCheck(const Truth& truth, Findings* findings, Seen seen)
      : AppendCheck(truth, findings, std::move(seen), /*filtered=*/true) {}

  // All rows of a source partition go through one shard of the sink.
  Counts Frontier() const override { return AllSeen(); }

  void Add(const OutputRecord& record) override {
    if (!record.value || !row_.Parse(*record.value)) {
      findings_.Add(Fault::kWrong, absl::StrCat("no row at ", ToAbsl(record.where)));
      return;
    }
    const int64_t p = row_.Int("p");
    const int64_t n = row_.Int("n");
    const auto partition = static_cast<int32_t>(p);
    if (!row_.complete() || !Known(p, n) || !AsSent(partition, n)) {
      findings_.Add(Fault::kWrong,
                    absl::StrCat(ToAbsl(*record.value), " at ", ToAbsl(record.where)));
      return;
    }
    CheckOrder(record, partition, n);
    Mark(record, partition, n);
  }

 private:
  bool AsSent(int32_t partition, int64_t n) {
    const Record sent = truth_.At(partition, n);
    return Expected(partition, n) && row_.Int("amount") == 2 * sent.amount &&
           row_.Double("x") == sent.x && row_.Text("k") == truth_.KeyOf(partition, n) &&
           row_.complete();
  }

  Row row_;
};

class PartsCheck : public AppendCheck {
 public:
  PartsCheck(const Truth& truth, Findings* findings, Seen seen)
      : AppendCheck(truth, findings, std::move(seen), /*filtered=*/false) {}

  void Add(const OutputRecord& record) override {
    if (!record.value || !row_.Parse(*record.value)) {
      findings_.Add(Fault::kWrong, absl::StrCat("no row at ", ToAbsl(record.where)));
      return;
    }
    const std::optional<Group> window =
        truth_.OfWindow(row_.Int("p"), row_.Int("g"), row_.Int("start"));
    const int64_t low = row_.Int("low");
    const int64_t high = row_.Int("high");
    if (!row_.complete() || !window || !AsSent(*window, low, high)) {
      findings_.Add(Fault::kWrong,
                    absl::StrCat(ToAbsl(*record.value), " at ", ToAbsl(record.where)));
      return;
    }
    for (int64_t n = low; n <= high; n += window->step) {
      Mark(record, window->partition, n);
    }
  }

 private:
  // A part covers consecutive records of its window: a batch reads a range of offsets.
  bool AsSent(const Group& window, int64_t low, int64_t high) {
    if (low < window.first || high >= window.limit || low > high ||
        (low - window.first) % window.step != 0 || (high - low) % window.step != 0) {
      return false;
    }
    int64_t amount = 0;
    for (int64_t n = low; n <= high; n += window.step) {
      amount += truth_.At(window.partition, n).amount;
    }
    return row_.Int("count") == (high - low) / window.step + 1 && row_.Int("amount") == amount;
  }

  Row row_;
};

}  // namespace

std::unique_ptr<OutputCheck> NewRowsCheck(const Truth& truth, Findings* findings,
                                          OutputCheck::Seen seen) {
  return std::make_unique<RowsCheck>(truth, findings, std::move(seen));
}

std::unique_ptr<OutputCheck> NewPartsCheck(const Truth& truth, Findings* findings,
                                           OutputCheck::Seen seen) {
  return std::make_unique<PartsCheck>(truth, findings, std::move(seen));
}

}  // namespace millrace::chaos
