#include "driver/journal/directory_lease.h"

#include <gmock/gmock.h>
#include <google/protobuf/text_format.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/base/failpoint.h"
#include "common/base/steady_time.h"
#include "driver/journal/lease_holder.h"
#include "driver/journal/segment_files.h"
#include "driver/journal/testing/journal_world.h"

namespace millrace::driver {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;
using Operation = MemoryFileSystem::Operation;
using Verdict = LeaseWatch::Verdict;

constexpr int64_t kMs = 1'000'000;

LeaseSighting Seen(uint64_t last_segment, uint64_t lease_segment, int64_t counter) {
  LeaseSighting seen;
  seen.last_segment = last_segment;
  seen.lease.emplace();
  seen.lease->set_segment(lease_segment);
  seen.lease->set_counter(counter);
  return seen;
}

TEST(LeaseWatchTest, EmptyDirectoryIsFree) {
  EXPECT_EQ(LeaseWatch(absl::Seconds(1)).Judge({}, 0), Verdict::kFree);
}

TEST(LeaseWatchTest, CounterThatStandsStillForTheLeaseTimeIsFree) {
  LeaseWatch watch(absl::Seconds(1));
  EXPECT_EQ(watch.Judge(Seen(3, 3, 7), 0), Verdict::kUnknown);
  EXPECT_EQ(watch.Judge(Seen(3, 3, 7), 999 * kMs), Verdict::kUnknown);
  EXPECT_EQ(watch.Judge(Seen(3, 3, 8), 999 * kMs), Verdict::kAlive);
  EXPECT_EQ(watch.Judge(Seen(3, 3, 8), 1998 * kMs), Verdict::kAlive);
  EXPECT_EQ(watch.Judge(Seen(3, 3, 8), 1999 * kMs), Verdict::kFree);
}

TEST(LeaseWatchTest, HolderSaysHowLongItsLeaseIs) {
  LeaseWatch watch(absl::Seconds(1));
  LeaseSighting seen = Seen(3, 3, 7);
  seen.lease->set_lease_ms(5000);
  watch.Judge(seen, 0);
  EXPECT_EQ(watch.Judge(seen, 4999 * kMs), Verdict::kUnknown);
  EXPECT_EQ(watch.Judge(seen, 5000 * kMs), Verdict::kFree);
}

TEST(LeaseWatchTest, ReleasedLeaseAndDeadHolderAreFreeAtOnce) {
  LeaseSighting seen = Seen(3, 3, 7);
  seen.lease->set_released(true);
  EXPECT_EQ(LeaseWatch(absl::Seconds(1)).Judge(seen, 0), Verdict::kFree);
  seen.lease->set_released(false);
  seen.holder_gone = true;
  EXPECT_EQ(LeaseWatch(absl::Seconds(1)).Judge(seen, 0), Verdict::kFree);
}

TEST(LeaseWatchTest, WhoHasMadeASegmentAndNotSignedYetHasTheLeaseTimeToo) {
  for (const bool has_lease : {true, false}) {
    LeaseWatch watch(absl::Seconds(1));
    LeaseSighting seen = Seen(4, 3, 7);
    seen.holder_gone = true;  // the holder of segment 3
    if (!has_lease) {
      seen.lease.reset();
    }
    EXPECT_EQ(watch.Judge(seen, 0), Verdict::kUnknown);
    EXPECT_EQ(watch.Judge(seen, 1000 * kMs), Verdict::kFree);
    seen.last_segment = 5;
    EXPECT_EQ(watch.Judge(seen, 1000 * kMs), Verdict::kAlive);
  }
}

class DirectoryLeaseTest : public ::testing::Test {
 protected:
  ~DirectoryLeaseTest() override { SetFailpointHandler(nullptr); }

  absl::Duration TimeOf(const std::function<void()>& work) {
    const absl::Time start = world_.clock.Now();
    work();
    return world_.clock.Now() - start;
  }
  proto::Lease Lease() {
    proto::Lease lease;
    EXPECT_TRUE(
        google::protobuf::TextFormat::ParseFromString(*world_.files.Read("/j/LEASE"), &lease));
    return lease;
  }

  JournalWorld world_;
  JournalDriver first_{&world_, "first"};
  JournalDriver second_{&world_, "second"};
};

TEST_F(DirectoryLeaseTest, RefusesASecondDriverThatDoesNotWait) {
  ASSERT_TRUE(first_.Open().ok());
  world_.at_pause = [&] { return first_.lease().Renew().ok(); };
  const absl::Status refused = second_.Open(/*wait=*/false);
  EXPECT_EQ(refused.code(), absl::StatusCode::kAlreadyExists);
  EXPECT_THAT(std::string(refused.message()),
              HasSubstr("directory /j is in use by another driver (first, pid "));
}

TEST_F(DirectoryLeaseTest, StandbyWaitsWhileTheCounterMovesAndTakesOverWhenItStandsStill) {
  ASSERT_TRUE(first_.Open().ok());
  int renewals = 0;
  world_.at_pause = [&] { return ++renewals > 100 || first_.lease().Renew().ok(); };
  const absl::Duration took = TimeOf([&] { ASSERT_TRUE(second_.Open().ok()); });
  EXPECT_GE(took, absl::Seconds(11.5)) << "100 looks of 0.1 s, then 1.5 s of silence";
  EXPECT_LE(took, absl::Seconds(11.7));
  EXPECT_EQ(second_.lease().first_segment(), 2u);
  EXPECT_EQ(Lease().driver_id(), "second");
}

TEST_F(DirectoryLeaseTest, StandbyCanBeStopped) {
  ASSERT_TRUE(first_.Open().ok());
  world_.at_pause = [] { return false; };
  EXPECT_EQ(second_.Open().code(), absl::StatusCode::kCancelled);
  EXPECT_TRUE(first_.Append(1).ok());
}

TEST_F(DirectoryLeaseTest, ReleasedDirectoryIsTakenAtOnce) {
  ASSERT_TRUE(first_.Open().ok());
  first_.Release();
  EXPECT_EQ(TimeOf([&] { ASSERT_TRUE(second_.Open(/*wait=*/false).ok()); }), absl::ZeroDuration());
}

TEST_F(DirectoryLeaseTest, DirectoryOfADeadProcessIsTakenAtOnce) {
  const pid_t child = fork();
  if (child == 0) {
    _exit(0);
  }
  // The process has ended; at first it is a zombie, which counts as dead.
  siginfo_t info;
  ASSERT_EQ(waitid(P_PID, static_cast<id_t>(child), &info, WEXITED | WNOWAIT), 0);
  ASSERT_TRUE(first_.Open().ok());
  for (const bool reaped : {false, true}) {
    if (reaped) {
      ASSERT_EQ(waitpid(child, nullptr, 0), child);
    }
    proto::Lease lease = Lease();
    lease.set_pid(child);
    std::string text;
    google::protobuf::TextFormat::PrintToString(lease, &text);
    world_.files.Overwrite("/j/LEASE", text);
    EXPECT_EQ(TimeOf([&] { ASSERT_TRUE(second_.Open(/*wait=*/false).ok()); }),
              absl::ZeroDuration());
  }
}

// It began with an older state, or with no job at all, and said nothing.
TEST_F(DirectoryLeaseTest, ADirectoryWhoseNewestSegmentIsLostIsNotTaken) {
  for (const int segment : {1, 2}) {
    ASSERT_TRUE(first_.Open().ok());
    ASSERT_TRUE(first_.Append(segment).ok());
    first_.Release();
    const std::string path = SegmentPath("/j", static_cast<uint64_t>(segment));
    const std::string whole = *world_.files.Read(path);
    ASSERT_TRUE(world_.files.Remove(path).ok());
    const absl::Status refused = second_.Open();
    EXPECT_EQ(refused.code(), absl::StatusCode::kDataLoss) << refused;
    EXPECT_THAT(std::string(refused.message()), HasSubstr(path + " is missing"));
    EXPECT_THAT(std::string(refused.message()), HasSubstr("remove LEASE"));
    world_.files.Overwrite(path, whole);
  }
  ASSERT_TRUE(world_.files.Remove("/j/LEASE").ok());
  ASSERT_TRUE(second_.Open().ok());
  EXPECT_THAT(second_.read(), ElementsAre(1, 2));
}

TEST_F(DirectoryLeaseTest, ProcessThatCannotBeSeenIsNotTakenForDead) {
  proto::Lease lease;
  DescribeThisProcess(&lease);
  EXPECT_FALSE(HolderIsGone(lease));
  lease.set_process_start(lease.process_start() + 1);
  EXPECT_TRUE(HolderIsGone(lease)) << "its pid belongs to a later process";
  lease.set_pid_space("another boot, or another container");
  EXPECT_FALSE(HolderIsGone(lease));
}

TEST_F(DirectoryLeaseTest, OfTwoThatStartTogetherOneWins) {
  bool nested = false;
  world_.files.SetFault([&](Operation operation, const std::string& path) {
    if (operation == Operation::kCreate && path == "/j/journal-000001.log" &&
        !std::exchange(nested, true)) {
      EXPECT_TRUE(second_.Open().ok());  // between the look and the creation
    }
    return absl::OkStatus();
  });
  world_.at_pause = [&] { return second_.lease().Renew().ok(); };
  const absl::Status refused = first_.Open(/*wait=*/false);
  EXPECT_EQ(refused.code(), absl::StatusCode::kAlreadyExists);
  EXPECT_THAT(std::string(refused.message()), HasSubstr("another driver (second"));
  EXPECT_TRUE(second_.Append(1).ok());
  EXPECT_THAT(*ListSegments(&world_.files, "/j"), SizeIs(1));
}

TEST_F(DirectoryLeaseTest, LoserOfATakeOverWaitsForTheWinnerToDie) {
  JournalDriver third(&world_, "third");
  ASSERT_TRUE(first_.Open().ok());
  bool nested = false;
  world_.files.SetFault([&](Operation operation, const std::string& path) {
    if (operation == Operation::kCreate && path == "/j/journal-000002.log" &&
        !std::exchange(nested, true)) {
      EXPECT_TRUE(second_.Open().ok());
    }
    return absl::OkStatus();
  });
  const absl::Duration took = TimeOf([&] { ASSERT_TRUE(third.Open().ok()); });
  EXPECT_GE(took, absl::Seconds(4.5)) << "first's silence, seen by both, and second's";
  EXPECT_EQ(third.lease().first_segment(), 3u);
}

TEST_F(DirectoryLeaseTest, LossIsToldOnceAndForEver) {
  ASSERT_TRUE(first_.Open().ok());
  EXPECT_TRUE(first_.lease().Confirm().ok());
  ASSERT_TRUE(second_.Open().ok());
  for (int i = 0; i < 2; ++i) {
    const absl::Status renewed = first_.lease().Renew();
    EXPECT_EQ(renewed.code(), absl::StatusCode::kAborted);
    EXPECT_THAT(std::string(renewed.message()), HasSubstr("another driver (second, pid "));
    EXPECT_THAT(std::string(renewed.message()), HasSubstr("has taken over directory /j"));
    EXPECT_EQ(first_.lease().Confirm(), renewed);
    EXPECT_EQ(first_.lease().CreateNext().status(), renewed);
    EXPECT_FALSE(first_.lease().Fresh());
  }
  EXPECT_THAT(first_.losses(), SizeIs(1));
  EXPECT_THAT(second_.losses(), IsEmpty());
  EXPECT_EQ(Lease().driver_id(), "second") << "who has lost writes nothing there";
  first_.Release();
  EXPECT_FALSE(Lease().released());
}

TEST_F(DirectoryLeaseTest, SleeperLooksAgainBeforeItGoesOn) {
  ASSERT_TRUE(first_.Open().ok());
  world_.clock.Advance(absl::Minutes(1));
  EXPECT_FALSE(first_.lease().Fresh());
  int lists = 0;
  world_.files.SetFault([&](Operation operation, const std::string&) {
    lists += operation == Operation::kList;
    return absl::OkStatus();
  });
  EXPECT_TRUE(first_.lease().Confirm().ok()) << "nobody was there";
  EXPECT_TRUE(first_.lease().Confirm().ok());
  EXPECT_EQ(lists, 2) << "what a look at one name finds missing may have been removed";
  EXPECT_TRUE(first_.lease().Fresh());
}

TEST_F(DirectoryLeaseTest, StandbyDoesNotOustADriverWhenTheDiskIsFull) {
  ASSERT_TRUE(first_.Open().ok());
  world_.files.SetCapacity(0);
  int looks = 0;
  world_.at_pause = [&] { return ++looks < 100; };
  EXPECT_EQ(second_.Open().code(), absl::StatusCode::kCancelled);
  world_.files.SetCapacity(INT64_MAX);
  EXPECT_TRUE(first_.Append(1).ok());
}

TEST_F(DirectoryLeaseTest, RenewalsRunByThemselvesAndDraftsAreCleanedUp) {
  world_.files.MakeDirectory("/j").IgnoreError();
  world_.files.Overwrite("/j/LEASE.dead", "half a lea");
  DirectoryLeaseOptions options;
  options.files = &world_.files;
  options.directory = "/j";
  options.driver_id = "real";
  options.lease_time = absl::Milliseconds(30);
  const auto lease = DirectoryLease::Acquire(std::move(options));
  ASSERT_TRUE(lease.ok()) << lease.status();
  EXPECT_FALSE(world_.files.Size("/j/LEASE.dead").ok());
  const absl::Time deadline = SteadyNow() + absl::Seconds(30);
  while (Lease().counter() < 4) {
    ASSERT_LT(SteadyNow(), deadline);
  }
}

}  // namespace
}  // namespace millrace::driver
