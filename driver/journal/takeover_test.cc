// Docs: exactly-once.md §6. What one driver acknowledged, every later driver reads: wherever the
// first one stopped, and whether it is dead or only asleep.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <set>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/base/failpoint.h"
#include "driver/journal/testing/journal_world.h"

namespace millrace::driver {
namespace {

using ::testing::ElementsAre;
using ::testing::IsSubsetOf;
using ::testing::IsSupersetOf;
using Operation = MemoryFileSystem::Operation;

// Runs `work` at the `nth` hit of failpoint `name`, once.
void AtFailpoint(const std::string& name, int nth, std::function<void()> work) {
  SetFailpointHandler(
      [name, nth, hits = std::make_shared<int>(0), work = std::move(work)](const char* hit) {
        if (hit == name && ++*hits == nth) {
          work();
        }
      });
}

class TakeoverTest : public ::testing::Test {
 protected:
  ~TakeoverTest() override { SetFailpointHandler(nullptr); }

  void PowerCut() { world_.files.Crash(); }

  JournalWorld world_;
  JournalDriver first_{&world_, "first"};
  JournalDriver second_{&world_, "second"};
  JournalDriver third_{&world_, "third"};
};

TEST_F(TakeoverTest, ZombieIsToldAndWhatItWritesDoesNotExist) {
  ASSERT_TRUE(first_.Open().ok());
  ASSERT_TRUE(first_.Append(1).ok());
  ASSERT_TRUE(second_.Open().ok());
  EXPECT_THAT(second_.read(), ElementsAre(1));
  EXPECT_EQ(first_.Append(2).code(), absl::StatusCode::kAborted);
  EXPECT_EQ(first_.Append(3).code(), absl::StatusCode::kAborted);
  EXPECT_EQ(first_.journal().Reopen().code(), absl::StatusCode::kAborted);
  EXPECT_TRUE(second_.Append(4).ok());
  ASSERT_TRUE(third_.Open().ok());
  EXPECT_THAT(third_.read(), ElementsAre(1, 4));
}

TEST_F(TakeoverTest, SyncedBeforeTheTakeOverIsInsideTheCut) {
  ASSERT_TRUE(first_.Open().ok());
  ASSERT_TRUE(first_.Append(1).ok());
  AtFailpoint("journal.confirmed", 1, [&] { EXPECT_TRUE(second_.Open().ok()); });
  EXPECT_TRUE(first_.Append(2).ok()) << "acknowledged although it has just been replaced";
  SetFailpointHandler(nullptr);
  EXPECT_THAT(second_.read(), ElementsAre(1, 2));
  PowerCut();
  ASSERT_TRUE(third_.Open().ok());
  EXPECT_THAT(third_.read(), ElementsAre(1, 2));
}

TEST_F(TakeoverTest, WhatTheNewDriverReadIsDurableEvenIfItWasNeverSynced) {
  ASSERT_TRUE(first_.Open().ok());
  ASSERT_TRUE(first_.Append(1).ok());
  AtFailpoint("journal.appended", 1, [&] {
    EXPECT_TRUE(second_.Open().ok());
    PowerCut();
  });
  EXPECT_FALSE(first_.Append(2).ok());
  SetFailpointHandler(nullptr);
  EXPECT_THAT(second_.read(), ElementsAre(1, 2));
  ASSERT_TRUE(third_.Open().ok());
  EXPECT_THAT(third_.read(), ElementsAre(1, 2)) << "the second driver may have acted on it";
}

TEST_F(TakeoverTest, FrameWhoseSyncFailedIsNotTrustedToBeOnTheDisk) {
  ASSERT_TRUE(first_.Open().ok());
  ASSERT_TRUE(first_.Append(1).ok());
  world_.files.SetFault([](Operation operation, const std::string&) {
    return operation == Operation::kSync ? absl::InternalError("Input/output error syncing x")
                                         : absl::OkStatus();
  });
  EXPECT_FALSE(first_.Append(2).ok());
  world_.files.SetFault(nullptr);
  first_.Abandon();  // the process ends; the page cache still has its frame
  ASSERT_TRUE(second_.Open().ok());
  EXPECT_TRUE(second_.Append(3).ok());
  const std::vector<int64_t> read = second_.read();
  second_.Abandon();
  PowerCut();
  ASSERT_TRUE(third_.Open().ok());
  std::vector<int64_t> expected = read;
  expected.push_back(3);
  EXPECT_EQ(third_.read(), expected);
}

TEST_F(TakeoverTest, SuccessorOfASuccessorThatWroteNothingButItsHeaderMakesTheSameCut) {
  ASSERT_TRUE(first_.Open().ok());
  ASSERT_TRUE(first_.Append(1).ok());
  ASSERT_TRUE(first_.Append(2).ok());
  ASSERT_TRUE(second_.Open().ok());
  ASSERT_TRUE(third_.Open().ok());
  EXPECT_THAT(third_.read(), ElementsAre(1, 2));
  EXPECT_FALSE(second_.Append(3).ok()) << "whole in its file, which is off the chain";
  EXPECT_TRUE(third_.Append(4).ok());
  PowerCut();
  ASSERT_TRUE(first_.Open().ok());
  EXPECT_THAT(first_.read(), ElementsAre(1, 2, 4));
}

TEST_F(TakeoverTest, DriverThatIsReplacedWhileItReadsDoesNotStart) {
  AtFailpoint("journal.segment_headed", 1, [&] { EXPECT_TRUE(second_.Open().ok()); });
  EXPECT_EQ(first_.Open().code(), absl::StatusCode::kAborted);
}

TEST_F(TakeoverTest, NumberThatCouldNotBeTakenIsStillTheSuccessors) {
  ASSERT_TRUE(first_.Open().ok());
  ASSERT_TRUE(first_.Append(1).ok());
  world_.files.SetFault([](Operation operation, const std::string& path) {
    return operation == Operation::kCreate || operation == Operation::kSync
               ? absl::InternalError(absl::StrCat("Input/output error at ", path))
               : absl::OkStatus();
  });
  EXPECT_FALSE(first_.Append(2).ok());
  EXPECT_EQ(first_.journal().Reopen().code(), absl::StatusCode::kInternal);
  world_.files.SetFault(nullptr);
  ASSERT_TRUE(second_.Open().ok());
  EXPECT_EQ(first_.journal().Reopen().code(), absl::StatusCode::kAborted);
  EXPECT_TRUE(second_.Append(3).ok());
}

// Runs `work` at the first `operation` on `path`, just before it is done.
void AtOperation(JournalWorld* world, Operation operation, const std::string& path,
                 std::function<void()> work) {
  world->files.SetFault(
      [=, done = std::make_shared<bool>(false)](Operation now, const std::string& on) {
        if (now == operation && on == path && !std::exchange(*done, true)) {
          work();
        }
        return absl::OkStatus();
      });
}

// The first driver looks for segment 2, which a successor made and removed again.
TEST_F(TakeoverTest, SuccessorWhoseSegmentWasRemovedIsNotedAllTheSame) {
  second_.SetKeptBytes(0);
  third_.SetKeptBytes(0);
  ASSERT_TRUE(first_.Open().ok());
  ASSERT_TRUE(first_.Append(1).ok());
  AtOperation(&world_, Operation::kSize, "/j/journal-000002.log", [&] {
    ASSERT_TRUE(second_.Open().ok());
    ASSERT_TRUE(second_.Append(5).ok());
    ASSERT_TRUE(third_.Open().ok());
  });
  EXPECT_EQ(first_.Append(2).code(), absl::StatusCode::kAborted);
  world_.files.SetFault(nullptr);
  EXPECT_TRUE(third_.Append(8).ok());
}

// The third driver has seen that segment 1 is the last, and falls asleep before it creates segment
// 2.
TEST_F(TakeoverTest, NumberThatWasTakenAndRemovedDoesNotMakeADriver) {
  second_.SetKeptBytes(0);
  ASSERT_TRUE(first_.Open().ok());
  ASSERT_TRUE(first_.Append(1).ok());
  AtOperation(&world_, Operation::kCreate, "/j/journal-000002.log", [&] {
    ASSERT_TRUE(second_.Open().ok());
    ASSERT_TRUE(second_.Append(5).ok());
    JournalDriver fourth(&world_, "fourth");
    fourth.SetKeptBytes(0);
    ASSERT_TRUE(fourth.Open().ok());  // segment 3
    ASSERT_TRUE(fourth.Append(6).ok());
    ASSERT_TRUE(second_.Open().ok());  // segment 4: 1 to 3 are gone
    ASSERT_TRUE(second_.Append(7).ok());
    world_.at_pause = [this, looks = 0]() mutable {
      return ++looks < 50 && second_.lease().Renew().ok();
    };
  });
  EXPECT_EQ(third_.Open().code(), absl::StatusCode::kCancelled) << "it waits for the second";
  world_.files.SetFault(nullptr);
  EXPECT_TRUE(second_.Append(8).ok());
  world_.at_pause = nullptr;
  ASSERT_TRUE(third_.Open().ok());
  EXPECT_THAT(third_.read(), ElementsAre(1, 5, 6, 7, 8));
}

// The same as above, with the next segment of a driver that is at work.
TEST_F(TakeoverTest, ZombieThatGoesOnInANumberThatWasRemovedIsTold) {
  second_.SetKeptBytes(0);
  third_.SetKeptBytes(0);
  ASSERT_TRUE(first_.Open().ok());
  world_.files.SetCapacity(0);
  EXPECT_FALSE(first_.Append(1).ok());
  world_.files.SetCapacity(INT64_MAX);
  AtOperation(&world_, Operation::kCreate, "/j/journal-000002.log", [&] {
    ASSERT_TRUE(second_.Open().ok());
    ASSERT_TRUE(third_.Open().ok());
    ASSERT_TRUE(third_.Append(5).ok());
  });
  EXPECT_EQ(first_.journal().Reopen().code(), absl::StatusCode::kAborted);
  world_.files.SetFault(nullptr);
  EXPECT_TRUE(third_.Append(6).ok());
}

TEST_F(TakeoverTest, StandbyHasReadEverythingBeforeItTakesOver) {
  ASSERT_TRUE(first_.Open().ok());
  std::vector<int64_t> numbers;
  std::vector<int64_t> followed;
  world_.at_pause = [&] {
    followed = second_.state().numbers();
    if (numbers.size() < 100) {
      numbers.push_back(std::ssize(numbers) + 1);
      return first_.Append(numbers.back()).ok() && first_.lease().Renew().ok();
    }
    return true;
  };
  ASSERT_TRUE(second_.Open().ok());
  EXPECT_EQ(followed, numbers) << "while it still waits";
  EXPECT_EQ(second_.read(), numbers);
  EXPECT_EQ(second_.state().replayed(), 101) << "each record and the checkpoint's end once";
}

TEST_F(TakeoverTest, StandbyFollowsFromSegmentToSegment) {
  first_.SetSegmentBytes(1);
  first_.SetKeptBytes(0);
  ASSERT_TRUE(first_.Open().ok());
  std::vector<int64_t> numbers;
  world_.at_pause = [&] {
    for (int i = 0; i < 7 && numbers.size() < 200; ++i) {
      numbers.push_back(std::ssize(numbers) + 1);
      EXPECT_TRUE(first_.Append(numbers.back()).ok());
    }
    return numbers.size() == 200 || first_.lease().Renew().ok();
  };
  ASSERT_TRUE(second_.Open().ok());
  EXPECT_EQ(second_.read(), numbers);
}

TEST_F(TakeoverTest, StandbyForgetsWhatTheDriverHasGivenUp) {
  ASSERT_TRUE(first_.Open().ok());
  ASSERT_TRUE(first_.Append(1).ok());
  int looks = 0;
  world_.at_pause = [&] {
    if (++looks == 3) {
      world_.files.SetFault([](Operation operation, const std::string&) {
        return operation == Operation::kSync ? absl::InternalError("Input/output error")
                                             : absl::OkStatus();
      });
      EXPECT_FALSE(
          first_.Append(2).ok());  // the frame is whole in the file, and the standby reads it
      world_.files.SetFault(nullptr);
    } else if (looks == 6) {
      EXPECT_TRUE(first_.journal().Reopen().ok());
      EXPECT_TRUE(first_.Append(3).ok());
    }
    return looks > 6 || first_.lease().Renew().ok();
  };
  ASSERT_TRUE(second_.Open().ok());
  EXPECT_THAT(second_.read(), ElementsAre(1, 3));
}

// The second driver's process ends at its k-th operation on the disk, for every k; then, or not,
// the machine loses power.
TEST_F(TakeoverTest, NewDriverMayEndAtAnyOperation) {
  for (const bool power_cut : {false, true}) {
    for (const bool keep_names : {false, true}) {
      bool done = false;
      for (int last = 0; !done; ++last) {
        SCOPED_TRACE(absl::StrCat("ends after operation ", last, " power cut ", power_cut));
        JournalWorld world;
        JournalDriver first(&world, "first");
        JournalDriver second(&world, "second");
        JournalDriver third(&world, "third");
        second.SetFrameBytes(1);  // a checkpoint of several frames
        second.SetKeptBytes(0);
        third.SetKeptBytes(0);
        ASSERT_TRUE(first.Open().ok());
        ASSERT_TRUE(first.Append(1).ok());
        ASSERT_TRUE(first.Append(2).ok());
        int operations = 0;
        world.files.SetFault([&](Operation, const std::string&) {
          return ++operations > last ? absl::InternalError("it has ended") : absl::OkStatus();
        });
        world.at_pause = [&] { return operations <= last; };
        done = second.Open().ok() && second.Append(3).ok();
        second.Abandon();
        world.files.SetFault(nullptr);
        world.at_pause = nullptr;
        if (power_cut) {
          world.files.Crash(/*torn_bytes=*/7, keep_names);
        } else if (first.Append(4).ok()) {
          // The second driver had not taken over: the first one goes on, and the third reads what
          // it wrote.
          ASSERT_TRUE(third.Open().ok());
          EXPECT_THAT(third.read(), ElementsAre(1, 2, 4));
          continue;
        }
        ASSERT_TRUE(third.Open().ok());
        EXPECT_THAT(third.read(), IsSupersetOf({1, 2}));
        EXPECT_TRUE(!done || third.read() == std::vector<int64_t>({1, 2, 3}));
        EXPECT_TRUE(third.Append(5).ok());
        const std::vector<int64_t> read = third.read();
        world.files.Crash();
        ASSERT_TRUE(first.Open().ok());
        std::vector<int64_t> expected = read;
        expected.push_back(5);
        EXPECT_EQ(first.read(), expected);
      }
    }
  }
}

// Everything a driver does with its directory, a failed write and a full segment included.
class Life {
 public:
  explicit Life(JournalWorld* world) : world_(world), driver_(world, "first") {
    driver_.SetSegmentBytes(1);
    driver_.SetKeptBytes(0);
  }

  void Live() {
    if (!driver_.Open().ok()) {
      return;
    }
    Append(1);
    Append(2);
    driver_.lease().Renew().IgnoreError();
    BreakAnAppend(3);
    if (driver_.journal().Reopen().ok()) {
      for (int64_t number = 4; number < 20; ++number) {
        Append(number);  // some appends begin another segment
      }
    }
    driver_.Release();
  }
  const std::vector<int64_t>& acknowledged() const { return acknowledged_; }
  // Numbers that were neither acknowledged nor refused: they may be in the journal.
  const std::set<int64_t>& in_doubt() const { return in_doubt_; }

 private:
  void Append(int64_t number) {
    if (driver_.Append(number).ok()) {
      acknowledged_.push_back(number);
    } else {
      in_doubt_.insert(number);
    }
  }
  void BreakAnAppend(int64_t number) {
    world_->files.SetCapacity(0);
    Append(number);
    world_->files.SetCapacity(INT64_MAX);
  }

  JournalWorld* const world_;
  JournalDriver driver_;
  std::vector<int64_t> acknowledged_;
  std::set<int64_t> in_doubt_;
};

std::vector<std::string> FailpointsHere() {
  std::vector<std::string> names = AllFailpoints();
  std::erase_if(names, [](const std::string& name) {
    return !absl::StartsWith(name, "journal.") && !absl::StartsWith(name, "lease.");
  });
  return names;
}

void ExpectNothingLost(const Life& life, const std::vector<int64_t>& read) {
  EXPECT_THAT(read, IsSupersetOf(life.acknowledged()));
  EXPECT_TRUE(std::is_sorted(read.begin(), read.end()));
  EXPECT_EQ(std::adjacent_find(read.begin(), read.end()), read.end()) << "nothing twice";
  std::vector<int64_t> possible = life.acknowledged();
  possible.insert(possible.end(), life.in_doubt().begin(), life.in_doubt().end());
  EXPECT_THAT(read, IsSubsetOf(possible));
}

// At every failpoint, at the first, second and third hit, the driver falls asleep; another one
// takes over and writes; the sleeper wakes and goes on.
TEST_F(TakeoverTest, DriverMaySleepAtAnyFailpoint) {
  ASSERT_GE(FailpointsHere().size(), 10u);
  for (const std::string& name : FailpointsHere()) {
    for (const int nth : {1, 2, 3}) {
      SCOPED_TRACE(absl::StrCat(name, "@", nth));
      JournalWorld world;
      Life life(&world);
      JournalDriver second(&world, "second");
      JournalDriver third(&world, "third");
      bool slept = false;
      AtFailpoint(name, nth, [&] {
        slept = true;
        world.files.SetCapacity(INT64_MAX);
        EXPECT_TRUE(second.Open().ok());
        EXPECT_TRUE(second.Append(100).ok());
        // A sleeper that had not taken over yet goes on waiting for the driver that lives.
        world.at_pause = [&second, looks = 0]() mutable {
          return ++looks < 50 && second.lease().Renew().ok();
        };
      });
      life.Live();
      SetFailpointHandler(nullptr);
      world.at_pause = nullptr;
      EXPECT_TRUE(slept || nth > 1) << "not on the way of the test";
      if (slept) {
        EXPECT_TRUE(second.Append(101).ok()) << "the sleeper must not oust its successor";
        ExpectNothingLost(life, second.read());
        world.files.Crash();
        ASSERT_TRUE(third.Open().ok());
        std::vector<int64_t> expected = second.read();
        expected.insert(expected.end(), {100, 101});
        EXPECT_EQ(third.read(), expected);
      }
    }
  }
}

// The same, but the driver ends at the failpoint: its process, or the whole machine.
TEST_F(TakeoverTest, DriverMayEndAtAnyFailpoint) {
  for (const std::string& name : FailpointsHere()) {
    for (const int nth : {1, 2, 3}) {
      for (const bool power_cut : {false, true}) {
        SCOPED_TRACE(absl::StrCat(name, "@", nth, power_cut ? " power cut" : ""));
        JournalWorld world;
        Life life(&world);
        JournalDriver second(&world, "second");
        JournalDriver third(&world, "third");
        AtFailpoint(name, nth, [&] {
          world.files.SetFault(
              [](Operation, const std::string&) { return absl::InternalError("it has ended"); });
        });
        life.Live();
        SetFailpointHandler(nullptr);
        world.files.SetFault(nullptr);
        if (power_cut) {
          world.files.Crash(/*torn_bytes=*/11);
        }
        ASSERT_TRUE(second.Open().ok());
        ExpectNothingLost(life, second.read());
        EXPECT_TRUE(second.Append(100).ok());
        world.files.Crash();
        ASSERT_TRUE(third.Open().ok());
        std::vector<int64_t> expected = second.read();
        expected.push_back(100);
        EXPECT_EQ(third.read(), expected);
      }
    }
  }
}

}  // namespace
}  // namespace millrace::driver
