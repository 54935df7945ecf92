// A session that stands still at each step of claims and commits, over a real broker, as one does
// whose process has crashed there or hangs: the next epoch must find exactly what is out, and what
// wakes later must change nothing. tests/chaos/failpoints.py does the same with processes.
#include <gtest/gtest.h>

#include <atomic>
#include <functional>
#include <memory>
#include <ostream>
#include <set>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/synchronization/notification.h"
#include "common/base/failpoint.h"
#include "common/base/steady_time.h"
#include "tests/contract/kafka_life.h"

namespace millrace {
namespace {

absl::Time Soon() { return SteadyNow() + absl::Seconds(30); }

// Work on a thread of its own that stands still when it comes to a failpoint. What it has done
// outside by then is what a crash there leaves.
class Hanging {
 public:
  // `passing`: called with each failpoint that the work comes to.
  Hanging(
      std::string point, std::function<void()> work,
      std::function<void(const char*)> passing = [](const char*) {})
      : point_(std::move(point)) {
    thread_ = std::thread([this, work = std::move(work), passing = std::move(passing)] {
      SetFailpointHandler([this, passing, self = std::this_thread::get_id()](const char* name) {
        if (std::this_thread::get_id() != self) {
          return;
        }
        passing(name);
        if (name == point_ && !stood_.exchange(true)) {
          stands_or_ended_.Notify();
          wake_.WaitForNotification();
        }
      });
      work();
      if (!stood_) {
        stands_or_ended_.Notify();
      }
    });
  }
  ~Hanging() { Wake(); }

  // Waits until it stands at its failpoint; false: it has ended without coming there.
  bool Await() {
    stands_or_ended_.WaitForNotification();
    return stood_;
  }
  // Lets it go on, and waits for its end.
  void Wake() {
    if (thread_.joinable()) {
      wake_.Notify();
      thread_.join();
    }
  }

 private:
  const std::string point_;
  std::atomic<bool> stood_{false};
  absl::Notification stands_or_ended_;
  absl::Notification wake_;
  std::thread thread_;
};

enum class Step {
  kClaim,   // of a later epoch
  kFlow,    // rows of a large batch leave memory
  kCommit,  // of a batch
  kDoubt,   // a commit was not answered, and is asked about
};

struct Point {
  const char* failpoint;
  Step step;
  bool out = false;    // whether the batch is out that is being committed there
  bool knows = false;  // whether the session knows that, and says so when it wakes
};

// Each failpoint of the sink, in the steps that come to it.
constexpr Point kPoints[] = {
    {"kafka_sink.before_init", Step::kClaim},
    {"kafka_sink.initialized", Step::kClaim},
    {"kafka_sink.before_claimed", Step::kClaim},
    {"kafka_sink.claimed", Step::kClaim},
    {"kafka_sink.before_begin", Step::kFlow},
    {"kafka_sink.flowed", Step::kFlow},
    {"kafka_sink.before_begin", Step::kCommit},
    {"kafka_sink.produced", Step::kCommit},
    {"kafka_sink.marked", Step::kCommit},
    {"kafka_sink.before_commit", Step::kCommit},
    {"kafka_sink.committed", Step::kCommit, true, true},
    {"kafka_sink.before_init", Step::kDoubt, true},
    {"kafka_sink.before_claimed", Step::kDoubt, true},
    {"kafka_sink.doubt_resolved", Step::kDoubt, true, true},
};

// When the one that stands still goes on: never means a crash.
enum class Wake { kNever, kOnceOthersHaveClaimed, kOnceOthersHaveWritten };

using Case = std::pair<Point, Wake>;

void PrintTo(const Case& one, std::ostream* out) { *out << one.first.failpoint; }

std::string NameOf(const Case& one) {
  constexpr const char* kSteps[] = {"Claim", "Flow", "Commit", "Doubt"};
  constexpr const char* kWakes[] = {"Crash", "WakesBeforeOthersWrite", "WakesLater"};
  return absl::StrCat(absl::StrReplaceAll(one.first.failpoint, {{".", "_"}}), "_",
                      kSteps[static_cast<int>(one.first.step)], "_",
                      kWakes[static_cast<int>(one.second)]);
}

std::vector<Case> CasesOf(bool claims) {
  std::vector<Case> cases;
  for (const Point& point : kPoints) {
    for (const Wake wake :
         {Wake::kNever, Wake::kOnceOthersHaveClaimed, Wake::kOnceOthersHaveWritten}) {
      if ((point.step == Step::kClaim) == claims) {
        cases.emplace_back(point, wake);
      }
    }
  }
  return cases;
}

class KafkaCrash : public KafkaLife, public testing::WithParamInterface<Case> {
 protected:
  static constexpr uint32_t kShards = 2;

  void SetUp() override {
    if (AllFailpoints().empty()) {
      GTEST_SKIP() << "a build without failpoints";
    }
  }

  static void WriteBatch(SinkMember& member, int64_t batch) {
    for (uint32_t shard = 0; shard < kShards; ++shard) {
      Write(member, batch, RowOf(batch, shard), shard);
    }
  }
  static std::string RowOf(int64_t batch, uint32_t shard) {
    return absl::StrCat(batch, " of ", shard);
  }

  // Writes and commits all batches from `first` to `last` as the epoch after an interrupted one
  // does. If a zombie has taken the place in order to find out, the driver begins another epoch.
  void WriteThrough(SinkMembers* owner, int64_t first, int64_t last) {
    for (int epochs = 0; epochs < 3; ++epochs) {
      for (int64_t batch = first; batch <= last; ++batch) {
        WriteBatch(*(*owner)[0], batch);
      }
      const absl::Status status = (*owner)[0]->Commit(last);
      if (status.ok()) {
        life_.Journal({(*owner)[0].get()}, last);
        return;
      }
      ASSERT_EQ(status.code(), absl::StatusCode::kAborted) << status;
      *owner = life_.OpenEpoch({{0, 1}});
    }
    FAIL() << "somebody takes the place again and again";
  }

  // Each row of the first batches is there, and once.
  void ExpectAll(int64_t batches) const {
    std::multiset<std::string> expected;
    for (int64_t batch = 1; batch <= batches; ++batch) {
      for (uint32_t shard = 0; shard < kShards; ++shard) {
        expected.insert(RowOf(batch, shard));
      }
    }
    const Strings visible = Visible();
    EXPECT_EQ(std::multiset<std::string>(visible.begin(), visible.end()), expected);
  }

  // A zombie that has been fenced writes nothing more.
  static void ExpectRefused(SinkSession& session, SinkShard& shard) {
    (void)shard.Write({.id = BatchId(3)}, TextRows({{"of a zombie"}}));  // may know it already
    const absl::Status status = session.Commit(BatchId(3), Soon());
    EXPECT_EQ(status.code(), absl::StatusCode::kAborted) << status;
  }

  // Writes and commits batch 2, as a session that may be a zombie.
  absl::Status CommitTwo(const Point& point, SinkMember& member) const {
    for (uint32_t shard = 0; shard < kShards; ++shard) {
      const absl::Status written =
          member.shard(shard).Write({.id = BatchId(2)}, TextRows({{RowOf(2, shard)}}));
      if (!written.ok()) {
        return written;
      }
    }
    if (point.step == Step::kDoubt) {
      const absl::Status unanswered =
          member.session().Commit(BatchId(2), SteadyNow() + absl::Milliseconds(500));
      Broker().Resume();
      EXPECT_EQ(unanswered.code(), absl::StatusCode::kUnavailable) << unanswered;
      StableEnd(topic_);  // the broker has carried out what it had been sent
    }
    return member.session().Commit(BatchId(2), Soon());
  }
  // How a commit comes to be in doubt: the broker stands still when it is sent.
  static std::function<void(const char*)> PauseAtTheFirstCommitIf(bool doubt) {
    return [wanted = std::make_shared<bool>(doubt)](const char* name) {
      if (absl::string_view(name) == "kafka_sink.before_commit" && std::exchange(*wanted, false)) {
        Broker().Pause();
      }
    };
  }
};

class KafkaCrashInClaim : public KafkaCrash {};
class KafkaCrashInCommit : public KafkaCrash {};

// An epoch claims a place whose owner has committed a batch of which the journal has not heard.
TEST_P(KafkaCrashInClaim, NothingIsLostOrTwice) {
  const auto& [point, wake] = GetParam();
  SinkMembers first = life_.OpenEpoch({{0, 1}});
  WriteBatch(*first[0], 1);
  Commit(*first[0], 1);
  WriteBatch(*first[0], 2);
  ASSERT_OK(first[0]->Commit(2));
  life_.BeginEpoch();
  const SinkContext context = life_.ContextOf(0);
  absl::StatusOr<std::unique_ptr<SinkSession>> claimed;
  Hanging zombie(point.failpoint, [&] { claimed = life_.Claim(context); });
  ASSERT_TRUE(zombie.Await()) << point.failpoint << " is not reached";

  SinkMembers owner = life_.OpenEpoch({{0, 1}});
  EXPECT_EQ(owner[0]->mark().written, Epoch(1));
  EXPECT_EQ(owner[0]->mark().batch, BatchId(2));
  if (wake == Wake::kOnceOthersHaveClaimed) {
    zombie.Wake();
  }
  WriteThrough(&owner, 2, 3);
  ExpectAll(3);
  if (wake != Wake::kNever) {
    zombie.Wake();
    // It had claimed before the higher epoch did, and then cannot commit; or it gives up.
    if (claimed.ok()) {
      EXPECT_STREQ(point.failpoint, "kafka_sink.claimed");
      const auto shard = (*claimed)->AddShard(0, 0);
      ASSERT_OK(shard);
      ExpectRefused(**claimed, **shard);
    } else {
      EXPECT_EQ(claimed.status().code(), absl::StatusCode::kAborted) << claimed.status();
    }
  }
  WriteThrough(&owner, 4, 4);
  ExpectAll(4);
}

// A session commits a batch; the next epoch runs it again.
TEST_P(KafkaCrashInCommit, NothingIsLostOrTwice) {
  const auto& [point, wake] = GetParam();
  if (point.step == Step::kFlow) {
    SetOption("max_held", "1 B");
  }
  SinkMembers first = life_.OpenEpoch({{0, 1}});
  WriteBatch(*first[0], 1);
  Commit(*first[0], 1);
  life_.context.planned_batch = BatchId(2);
  absl::Status committed;
  Hanging zombie(
      point.failpoint, [&, point = point] { committed = CommitTwo(point, *first[0]); },
      PauseAtTheFirstCommitIf(point.step == Step::kDoubt));
  ASSERT_TRUE(zombie.Await()) << point.failpoint << " is not reached";

  SinkMembers owner = life_.OpenEpoch({{1, 0}});
  EXPECT_EQ(owner[0]->mark().written, Epoch(1));
  EXPECT_EQ(owner[0]->mark().batch, BatchId(point.out ? 2 : 1));
  if (wake == Wake::kOnceOthersHaveClaimed) {
    zombie.Wake();
  }
  WriteThrough(&owner, 2, 3);
  ExpectAll(3);
  if (wake != Wake::kNever) {
    zombie.Wake();
    if (point.knows) {
      EXPECT_OK(committed);
    } else {
      EXPECT_EQ(committed.code(), absl::StatusCode::kAborted) << committed;
    }
    ExpectRefused(first[0]->session(), first[0]->shard());
  }
  WriteThrough(&owner, 4, 4);
  ExpectAll(4);
}

INSTANTIATE_TEST_SUITE_P(Kafka, KafkaCrashInClaim, testing::ValuesIn(CasesOf(true)),
                         [](const auto& info) { return NameOf(info.param); });
INSTANTIATE_TEST_SUITE_P(Kafka, KafkaCrashInCommit, testing::ValuesIn(CasesOf(false)),
                         [](const auto& info) { return NameOf(info.param); });

TEST(KafkaCrashPoints, EveryFailpointOfTheSinkHasACase) {
  std::set<std::string> tried;
  for (const Point& point : kPoints) {
    tried.insert(point.failpoint);
  }
  std::set<std::string> all;
  for (const std::string& name : AllFailpoints()) {
    if (absl::StartsWith(name, "kafka_sink.")) {
      all.insert(name);
    }
  }
  if (!AllFailpoints().empty()) {
    EXPECT_EQ(tried, all);
  }
}

}  // namespace
}  // namespace millrace
