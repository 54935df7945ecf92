// The checks of upsert outputs: every row is the aggregate of a known prefix, and goes forward.
#include <numeric>
#include <unordered_map>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "common/base/status.h"
#include "tests/chaos/checks.h"
#include "tests/chaos/row.h"

namespace millrace::chaos {
namespace {

constexpr int64_t kMostRecords = int64_t{1} << 32;  // in a group; more is nonsense

int64_t Total(const Counts& counts) {
  return std::accumulate(counts.begin(), counts.end(), int64_t{0});
}

// count, sum of integers and sum of doubles of groups that lie in one partition.
class GroupsCheck : public OutputCheck {
 public:
  using OutputCheck::OutputCheck;

  void Add(const OutputRecord& record) override {
    std::string name;
    std::optional<Group> group;
    if (record.value && row_.Parse(*record.value)) {
      group = Locate(&row_, &name);
    }
    const int64_t count = group ? row_.Int("count") : 0;
    if (!group || !row_.complete() || count <= 0 || count > kMostRecords ||
        count > group->CountBelow(group->limit)) {
      Wrong(record);
      return;
    }
    State& state = states_.try_emplace(name, State{*group}).first->second;
    if (count <= state.count) {
      findings_.Add(count == state.count ? Fault::kDuplicated : Fault::kRegressed,
                    absl::StrCat("group ", name, ": count ", count, " after count ", state.count,
                                 " at ", ToAbsl(record.where)));
      return;
    }
    Advance(&state, count);
    if (row_.Int("amount") != state.amount || row_.Double("x") != state.x.Rounded()) {
      Wrong(record);
    }
  }

  bool Complete(const Counts& produced) override { return covered_ >= Total(produced); }

  void Finish(const Counts& produced) override {
    int64_t known = 0;
    for (const auto& [name, state] : states_) {
      const int64_t sent =
          state.group.CountBelow(produced[static_cast<size_t>(state.group.partition)]);
      known += sent;
      if (state.count < sent) {
        findings_.Add(Fault::kLost,
                      absl::StrCat("group ", name, " ends at ", state.count, " of ", sent),
                      sent - state.count);
      } else if (state.count > sent) {
        findings_.Add(Fault::kWrong,
                      absl::StrCat("group ", name, " counts ", state.count, ", sent were ", sent));
      }
    }
    // Groups are disjoint and cover the input: what no known group holds is in unknown ones.
    if (known < Total(produced)) {
      findings_.Add(Fault::kLost, "whole groups have never come", Total(produced) - known);
    }
  }

 protected:
  // The group that the row speaks of; nothing if there is none.
  virtual std::optional<Group> Locate(Row* row, std::string* name) const = 0;

 private:
  struct State {
    Group group;
    int64_t count = 0;
    int64_t amount = 0;
    ExactSum x;
  };

  void Wrong(const OutputRecord& record) {
    findings_.Add(Fault::kWrong, absl::StrCat(ToAbsl(record.value.value_or("a tombstone")), " at ",
                                              ToAbsl(record.where)));
  }

  void Advance(State* state, int64_t count) {
    covered_ += count - state->count;
    for (; state->count < count; ++state->count) {
      const int64_t n = state->group.At(state->count);
      const Record sent = truth_.At(state->group.partition, n);
      state->amount += sent.amount;
      state->x.Add(sent.x_units);
      seen_(state->group.partition, n);
    }
  }

  Row row_;
  std::unordered_map<std::string, State> states_;
  int64_t covered_ = 0;
};

class RunningCheck : public GroupsCheck {
 public:
  using GroupsCheck::GroupsCheck;

 protected:
  std::optional<Group> Locate(Row* row, std::string* name) const override {
    *name = row->Text("k");
    return truth_.OfKey(*name);
  }
};

class WindowsCheck : public GroupsCheck {
 public:
  using GroupsCheck::GroupsCheck;

 protected:
  std::optional<Group> Locate(Row* row, std::string* name) const override {
    const int64_t p = row->Int("p");
    const int64_t g = row->Int("g");
    const int64_t start = row->Int("start");
    *name = absl::StrCat(p, "/", g, "/", start);
    return truth_.OfWindow(p, g, start);
  }
};

class JoinedCheck : public OutputCheck {
 public:
  using OutputCheck::OutputCheck;

  void Add(const OutputRecord& record) override {
    if (!record.value || !row_.Parse(*record.value)) {
      Wrong(record, "no row");
      return;
    }
    const int64_t g = row_.Int("g");
    const int64_t bucket = row_.Int("bucket");
    const std::string_view ids = row_.Text("ids");
    if (!row_.complete() || g < 0 || g >= Truth::kLanes || bucket < 0 ||
        bucket > kMostRecords / Truth::kBucket) {
      Wrong(record, "no such group");
      return;
    }
    State& state = Find(g, bucket);
    const std::string name = absl::StrCat("group ", g, "/", bucket);
    if (ids.size() <= state.length) {
      findings_.Add(ids.size() == state.length ? Fault::kDuplicated : Fault::kRegressed,
                    absl::StrCat(name, ": ", ids.size(), " bytes after ", state.length, " at ",
                                 ToAbsl(record.where)));
      return;
    }
    if (ids.substr(0, state.ids.size()) != state.ids ||
        (!state.ids.empty() && ids[state.ids.size()] != ' ')) {
      findings_.Add(Fault::kRegressed,
                    absl::StrCat(name, " has another order or content than before at ",
                                 ToAbsl(record.where), ": ", ToAbsl(ids), " after ", state.ids));
      return;
    }
    if (!Append(&state, ids.substr(state.ids.empty() ? 0 : state.ids.size() + 1))) {
      Wrong(record, name);
      return;
    }
    state.length = ids.size();
    state.ids = ids;
    if (Counted(state, Counts(state.next.size(), kMostRecords)) == state.records) {
      std::string().swap(state.ids);  // nothing more may come
    }
  }

  bool Complete(const Counts& produced) override { return covered_ >= Total(produced); }

  void Finish(const Counts& produced) override {
    int64_t known = 0;
    for (const auto& [name, state] : states_) {
      const int64_t sent = Counted(state, produced);
      known += sent;
      if (state.records != sent) {
        findings_.Add(state.records < sent ? Fault::kLost : Fault::kWrong,
                      absl::StrCat("group ", name.first, "/", name.second, " ends with ",
                                   state.records, " of ", sent),
                      std::abs(sent - state.records));
      }
    }
    if (known < Total(produced)) {
      findings_.Add(Fault::kLost, "whole groups have never come", Total(produced) - known);
    }
  }

 private:
  struct State {
    std::vector<Group> groups;  // one per partition
    Counts next;                // how many of each have come
    int64_t records = 0;
    std::string ids;    // the last row; empty once all have come
    size_t length = 0;  // of the last row
  };

  State& Find(int64_t g, int64_t bucket) {
    State& state = states_[{g, bucket}];
    if (state.groups.empty()) {
      for (int32_t p = 0; p < truth_.partitions; ++p) {
        state.groups.push_back(truth_.OfBucket(p, g, bucket));
      }
      state.next.resize(state.groups.size());
    }
    return state;
  }

  static int64_t Counted(const State& state, const Counts& produced) {
    int64_t records = 0;
    for (size_t p = 0; p < state.groups.size(); ++p) {
      records += state.groups[p].CountBelow(produced[p]);
    }
    return records;
  }

  // Takes "p.n p.n …"; false at one that is not its partition's next.
  bool Append(State* state, std::string_view added) {
    while (!added.empty()) {
      const std::string_view id = added.substr(0, added.find(' '));
      added.remove_prefix(std::min(added.size(), id.size() + 1));
      const size_t point = id.find('.');
      int32_t p = 0;
      int64_t n = 0;
      if (point == std::string_view::npos || !absl::SimpleAtoi(ToAbsl(id.substr(0, point)), &p) ||
          !absl::SimpleAtoi(ToAbsl(id.substr(point + 1)), &n) || p < 0 || p >= truth_.partitions) {
        return false;
      }
      const Group& group = state->groups[static_cast<size_t>(p)];
      int64_t& next = state->next[static_cast<size_t>(p)];
      if (n != group.At(next) || n >= group.limit) {
        return false;
      }
      ++next;
      ++state->records;
      ++covered_;
      seen_(p, n);
    }
    return true;
  }

  void Wrong(const OutputRecord& record, const std::string& what) {
    findings_.Add(Fault::kWrong,
                  absl::StrCat(what, ": ", ToAbsl(record.value.value_or("a tombstone")), " at ",
                               ToAbsl(record.where)));
  }

  Row row_;
  std::map<std::pair<int64_t, int64_t>, State> states_;  // by g and bucket
  int64_t covered_ = 0;
};

class HistogramCheck : public OutputCheck {
 public:
  using OutputCheck::OutputCheck;

  void Add(const OutputRecord& record) override {
    const bool key_read = row_.Parse(record.key);
    const int64_t touched = key_read ? row_.Int("touched") : 0;
    if (!row_.complete() || touched <= 0) {
      Wrong(record);
    } else if (!record.value) {
      if (keys_.erase(touched) == 0) {
        findings_.Add(Fault::kDuplicated,
                      absl::StrCat("a tombstone for ", touched, ", which is not there, at ",
                                   ToAbsl(record.where)));
      }
    } else if (!row_.Parse(*record.value)) {
      Wrong(record);
    } else {
      Set(record, touched);
    }
  }

  bool Complete(const Counts& produced) override { return keys_ == Expected(produced); }

  void Finish(const Counts& produced) override {
    const std::map<int64_t, int64_t>& expected = Expected(produced);
    for (const auto& [touched, keys] : expected) {
      const auto found = keys_.find(touched);
      if (found == keys_.end()) {
        findings_.Add(Fault::kLost, absl::StrCat("no row for ", touched, ", expected ", keys));
      } else if (found->second != keys) {
        findings_.Add(Fault::kWrong, absl::StrCat("row ", touched, " ends with ", found->second,
                                                  ", expected ", keys));
      }
    }
    for (const auto& [touched, keys] : keys_) {
      if (expected.find(touched) == expected.end()) {
        findings_.Add(Fault::kWrong,
                      absl::StrCat("row ", touched, " with ", keys, " should be gone"));
      }
    }
  }

 private:
  void Set(const OutputRecord& record, int64_t touched) {
    const int64_t keys = row_.Int("keys");
    const int64_t all = truth_.partitions * (truth_.hot_keys + truth_.cold_keys);
    if (row_.Int("touched") != touched || !row_.complete() || keys <= 0 || keys > all) {
      Wrong(record);
      return;
    }
    int64_t& held = keys_[touched];
    if (held == keys) {
      findings_.Add(Fault::kDuplicated, absl::StrCat("row ", touched, " with ", keys, " again at ",
                                                     ToAbsl(record.where)));
    }
    held = keys;
  }

  // Worked out once per `produced`, which stands still when this is asked for often.
  const std::map<int64_t, int64_t>& Expected(const Counts& produced) {
    if (produced == expected_for_) {
      return expected_;
    }
    expected_for_ = produced;
    expected_.clear();
    for (int32_t p = 0; p < truth_.partitions; ++p) {
      for (const bool hot : {true, false}) {
        const int64_t keys = hot ? truth_.hot_keys : truth_.cold_keys;
        for (int64_t number = 0; number < keys; ++number) {
          const Group group{p, 2 * number + (hot ? 1 : 0), 2 * keys};
          const int64_t touched = group.CountBelow(produced[static_cast<size_t>(p)]);
          if (touched > 0) {
            ++expected_[touched];
          }
        }
      }
    }
    return expected_;
  }

  void Wrong(const OutputRecord& record) {
    findings_.Add(Fault::kWrong, absl::StrCat(ToAbsl(record.key), ": ",
                                              ToAbsl(record.value.value_or("a tombstone")), " at ",
                                              ToAbsl(record.where)));
  }

  Row row_;
  std::map<int64_t, int64_t> keys_;
  std::map<int64_t, int64_t> expected_;
  Counts expected_for_;
};

}  // namespace

std::unique_ptr<OutputCheck> NewRunningCheck(const Truth& truth, Findings* findings,
                                             OutputCheck::Seen seen) {
  return std::make_unique<RunningCheck>(truth, findings, std::move(seen));
}

std::unique_ptr<OutputCheck> NewWindowsCheck(const Truth& truth, Findings* findings,
                                             OutputCheck::Seen seen) {
  return std::make_unique<WindowsCheck>(truth, findings, std::move(seen));
}

std::unique_ptr<OutputCheck> NewJoinedCheck(const Truth& truth, Findings* findings,
                                            OutputCheck::Seen seen) {
  return std::make_unique<JoinedCheck>(truth, findings, std::move(seen));
}

std::unique_ptr<OutputCheck> NewHistogramCheck(const Truth& truth, Findings* findings,
                                               OutputCheck::Seen seen) {
  return std::make_unique<HistogramCheck>(truth, findings, std::move(seen));
}

std::unique_ptr<OutputCheck> NewCheck(std::string_view output, const Truth& truth,
                                      Findings* findings, OutputCheck::Seen seen) {
  using Make = std::unique_ptr<OutputCheck> (*)(const Truth&, Findings*, OutputCheck::Seen);
  static constexpr std::pair<std::string_view, Make> kOutputs[] = {
      {"plain", NewRowsCheck},      {"plain_files", NewRowsCheck},
      {"parts", NewPartsCheck},     {"parts_files", NewPartsCheck},
      {"running", NewRunningCheck}, {"windows", NewWindowsCheck},
      {"joined", NewJoinedCheck},   {"histogram", NewHistogramCheck},
  };
  for (const auto& [name, make] : kOutputs) {
    if (name == output) {
      return make(truth, findings, std::move(seen));
    }
  }
  return nullptr;
}

}  // namespace millrace::chaos
