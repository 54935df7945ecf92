// One check per kind of output: each is given the records of an output in the order in which a
// read_committed reader sees them, compares every one with the truth as it appears, and at the end
// says what has never come. Thread-compatible.
//
// Why this suffices: a group lies in one source partition, which the engine reads in order, so a
// row that says "17 records" must be made of the group's first 17. A record that was counted twice,
// lost from the state, or summed in a state from before a recovery shows in the first row after it.
#ifndef MILLRACE_TESTS_CHAOS_CHECKS_H_
#define MILLRACE_TESTS_CHAOS_CHECKS_H_

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tests/chaos/findings.h"
#include "tests/chaos/truth.h"

namespace millrace::chaos {

// How many records of each partition there are, or how far an output has come.
using Counts = std::vector<int64_t>;

// A record as a reader gets it. `lane`: the partition or file it is in, within which order counts.
struct OutputRecord {
  int lane = 0;
  std::string_view key;
  std::optional<std::string_view> value;  // nothing: a tombstone
  std::string_view where;                 // for people: partition and offset, or file
};

class OutputCheck {
 public:
  // Told of each source record when the output first shows it.
  using Seen = std::function<void(int32_t partition, int64_t n)>;

  OutputCheck(const Truth& truth, Findings* findings, Seen seen)
      : truth_(truth), findings_(*findings), seen_(std::move(seen)) {}
  OutputCheck(const OutputCheck&) = delete;
  OutputCheck& operator=(const OutputCheck&) = delete;
  virtual ~OutputCheck() = default;

  virtual void Add(const OutputRecord& record) = 0;
  // Whether all of `produced` has come. Cheap.
  virtual bool Complete(const Counts& produced) = 0;
  // Tells what is missing, and what is there that was never sent.
  virtual void Finish(const Counts& produced) = 0;

  // Where each source partition goes through one shard of the sink (empty else): one past the last
  // record seen, per partition. Whoever then reads everything that was committed by now must have
  // seen all before it: ExpectBelow. Shards commit one after another, so more cannot be said.
  virtual Counts Frontier() const { return {}; }
  virtual void ExpectBelow(const Counts& frontier) { (void)frontier; }

 protected:
  const Truth& truth_;
  Findings& findings_;
  Seen seen_;
};

// Rows p, n, k, amount (doubled), x of the records that pass the filter.
std::unique_ptr<OutputCheck> NewRowsCheck(const Truth& truth, Findings* findings,
                                          OutputCheck::Seen seen);

// Rows p, g, start, count, low, high, amount: a part of a window, the records low … high of it.
std::unique_ptr<OutputCheck> NewPartsCheck(const Truth& truth, Findings* findings,
                                           OutputCheck::Seen seen);

// Upserts k, count, amount, x: the running aggregate of a key.
std::unique_ptr<OutputCheck> NewRunningCheck(const Truth& truth, Findings* findings,
                                             OutputCheck::Seen seen);

// Upserts p, g, start, count, amount, x: a window.
std::unique_ptr<OutputCheck> NewWindowsCheck(const Truth& truth, Findings* findings,
                                             OutputCheck::Seen seen);

// Upserts g, bucket, ids: "p.n p.n …" in order of arrival. A row must begin with the group's last
// one: arrival in another order after a recovery shows.
std::unique_ptr<OutputCheck> NewJoinedCheck(const Truth& truth, Findings* findings,
                                            OutputCheck::Seen seen);

// Upserts touched, keys: how many keys have so many records; a tombstone when none has.
std::unique_ptr<OutputCheck> NewHistogramCheck(const Truth& truth, Findings* findings,
                                               OutputCheck::Seen seen);

// By the names that the job scripts use for their tables: plain, running, windows, joined,
// histogram, parts, and plain_files, parts_files. Null if there is no such output.
std::unique_ptr<OutputCheck> NewCheck(std::string_view output, const Truth& truth,
                                      Findings* findings, OutputCheck::Seen seen);

}  // namespace millrace::chaos

#endif  // MILLRACE_TESTS_CHAOS_CHECKS_H_
