#include "driver/jobs/source_watcher.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <set>

#include "absl/strings/str_cat.h"
#include "common/base/monotonic_cond_var.h"
#include "common/base/steady_time.h"

namespace millrace::driver {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

// Shared between the test and the watcher's thread.
struct Source {
  absl::Mutex mutex;
  MonotonicCondVar changed;
  std::vector<PartitionName> partitions = {"t/0"};
  absl::Status trouble;
  int64_t end = 9;
  SourceTraits traits;
  std::set<PartitionName> gone;
  std::vector<std::string> told_gone;
  std::vector<PartitionName> asked;  // by the last Ends
  std::string topic_id = "A";
  std::map<std::string, int64_t> published;
  int publish_calls = 0;
  int failing_publishes = 0;  // how many of the next calls fail
  std::function<void()> during_publish;
  int asked_for_ends = 0;
  // What the watcher reported.
  std::vector<PartitionName> found;
  std::vector<absl::Status> lost;
  std::vector<absl::Status> troubles;
  bool expects_partitions = false;
  int ends_calls = 0;
  int topic_id_calls = 0;
  size_t last_ends = 0;

  template <typename Condition>
  void Until(Condition condition) {
    absl::MutexLock lock(&mutex);
    const absl::Time deadline = SteadyNow() + absl::Seconds(30);
    while (!condition()) {
      ASSERT_FALSE(changed.WaitUntil(&mutex, deadline) && !condition());
    }
  }
  void SetTrouble(absl::Status status) {
    absl::MutexLock lock(&mutex);
    trouble = std::move(status);
  }
};

class FakeEnumerator : public SourceEnumerator {
 public:
  explicit FakeEnumerator(Source* source) : source_(source) {}
  absl::StatusOr<std::vector<PartitionName>> Discover(absl::Duration) override {
    absl::MutexLock lock(&source_->mutex);
    if (!source_->trouble.ok()) {
      return source_->trouble;
    }
    return source_->partitions;
  }
  bool expects_partitions() const override {
    absl::MutexLock lock(&source_->mutex);
    return source_->expects_partitions;
  }
  absl::StatusOr<std::vector<PartitionOffset>> ResolveStart(const std::vector<PartitionName>&,
                                                            absl::Duration) override {
    return absl::InternalError("not for watchers");
  }
  absl::StatusOr<std::vector<PartitionOffset>> ResolveEarliest(
      const std::vector<PartitionName>& partitions, absl::Duration) override {
    std::vector<PartitionOffset> offsets;
    offsets.reserve(partitions.size());
    for (const PartitionName& name : partitions) {
      offsets.push_back({name, Offset(7)});
    }
    return offsets;
  }
  absl::StatusOr<std::vector<PartitionEnd>> Ends(const std::vector<PartitionName>& partitions,
                                                 absl::Duration) override {
    absl::MutexLock lock(&source_->mutex);
    ++source_->asked_for_ends;
    if (!source_->trouble.ok()) {
      return source_->trouble;
    }
    source_->asked = partitions;
    std::vector<PartitionEnd> ends;
    ends.reserve(partitions.size());
    for (const PartitionName& name : partitions) {
      ends.push_back({name, Offset(source_->end), Offset(source_->end)});
      if (source_->gone.contains(name)) {
        ends.back().phase = PartitionPhase::kGone;
        ends.back().why = "deleted";
      }
    }
    return ends;
  }
  absl::StatusOr<std::vector<std::string>> Identities(const std::vector<PartitionName>& partitions,
                                                      absl::Duration) override {
    absl::MutexLock lock(&source_->mutex);
    ++source_->topic_id_calls;
    source_->changed.SignalAll();
    return std::vector<std::string>(partitions.size(), source_->topic_id);
  }
  absl::Status PublishOffsets(const std::vector<PartitionOffset>& committed,
                              absl::Duration) override {
    std::function<void()> during;
    {
      absl::MutexLock lock(&source_->mutex);
      during = source_->during_publish;
    }
    if (during != nullptr) {
      during();
    }
    absl::MutexLock lock(&source_->mutex);
    ++source_->publish_calls;
    if (source_->failing_publishes > 0) {
      --source_->failing_publishes;
      source_->changed.SignalAll();
      return absl::UnavailableError("the group's coordinator is away");
    }
    for (const PartitionOffset& offset : committed) {
      source_->published[offset.partition] = offset.offset.value();
    }
    source_->changed.SignalAll();
    return absl::OkStatus();
  }

 private:
  Source* source_;
};

class SourceWatcherTest : public ::testing::Test {
 protected:
  std::unique_ptr<SourceWatcher> Watch(const KnownPartition& partition = {"t/0", Offset(0), ""},
                                       absl::Duration discovery_interval = absl::Milliseconds(1)) {
    SourceWatcherOptions options;
    options.table = "lines";
    options.ends_interval = absl::Milliseconds(1);
    options.discovery_interval = discovery_interval;
    options.publish_interval = publish_interval_;
    options.traits = source_.traits;
    options.identities_interval = absl::Milliseconds(1);
    options.on_ends = [this](const std::vector<PartitionEnd>& ends) {
      Told([&] {
        ++source_.ends_calls;
        source_.last_ends = ends.size();
        for (const PartitionEnd& end : ends) {
          if (end.phase == PartitionPhase::kGone) {
            source_.told_gone.push_back(absl::StrCat(end.partition, " ", end.why));
          }
        }
      });
    };
    options.on_found = [this](const std::vector<NewPartition>& found) {
      Told([&] {
        for (const NewPartition& one : found) {
          source_.found.push_back(
              absl::StrCat(one.name, "@", one.earliest.value(), " of ", one.identity));
        }
      });
    };
    options.on_lost = [this](const absl::Status& cause) {
      Told([&] { source_.lost.push_back(cause); });
    };
    options.on_trouble = [this](const absl::Status& trouble) {
      Told([&] { source_.troubles.push_back(trouble); });
    };
    return std::make_unique<SourceWatcher>(std::make_unique<FakeEnumerator>(&source_),
                                           std::vector<KnownPartition>{partition}, options);
  }
  template <typename Note>
  void Told(Note note) {
    absl::MutexLock lock(&source_.mutex);
    note();
    source_.changed.SignalAll();
  }

  Source source_;
  absl::Duration publish_interval_ = absl::Milliseconds(1);
};

TEST_F(SourceWatcherTest, AsksForEndsAndFindsNewPartitions) {
  const auto watcher = Watch();
  source_.Until([this] { return source_.ends_calls >= 2 && source_.last_ends == 1; });
  Told([this] { source_.partitions = {"t/0", "t/1"}; });
  source_.Until([this] { return source_.last_ends == 2; });
  absl::MutexLock lock(&source_.mutex);
  EXPECT_THAT(source_.found, ElementsAre("t/1@7 of A"));
}

TEST_F(SourceWatcherTest, APartitionThatIsExpectedIsNotLeftToTheNextUsualDiscovery) {
  source_.expects_partitions = true;
  const auto watcher = Watch({"t/0", Offset(0), ""}, absl::Hours(1));
  source_.Until([this] { return source_.ends_calls >= 2; });
  Told([this] { source_.partitions = {"t/0", "t/1"}; });
  source_.Until([this] { return source_.last_ends == 2; });
}

TEST_F(SourceWatcherTest, TroubleIsToldOnceAndWhenItIsOver) {
  const auto watcher = Watch();
  source_.SetTrouble(absl::UnavailableError("no broker answers"));
  source_.Until([this] { return source_.troubles.size() == 1; });
  source_.SetTrouble(absl::OkStatus());
  source_.Until([this] { return source_.troubles.size() == 2; });
  absl::MutexLock lock(&source_.mutex);
  EXPECT_FALSE(source_.troubles[0].ok());
  EXPECT_TRUE(source_.troubles[1].ok());
  EXPECT_TRUE(source_.lost.empty());
}

TEST_F(SourceWatcherTest, MissingTopicIsLostOnlyWhenItStaysAway) {
  const auto watcher = Watch();
  source_.SetTrouble(absl::NotFoundError("topic 't' does not exist"));
  source_.Until([this] { return !source_.lost.empty(); });
  absl::MutexLock lock(&source_.mutex);
  ASSERT_FALSE(source_.lost.empty());
  EXPECT_THAT(std::string(source_.lost[0].message()),
              HasSubstr("source table \"lines\": topic 't' does not exist"));
}

TEST_F(SourceWatcherTest, ATopicWithAnotherIdThanTheJournalSaysIsLost) {
  const auto watcher = Watch({"t/0", Offset(0), "Z"});
  source_.Until([this] { return !source_.lost.empty(); });
  absl::MutexLock lock(&source_.mutex);
  ASSERT_FALSE(source_.lost.empty());
  EXPECT_THAT(std::string(source_.lost[0].message()),
              HasSubstr("the topic of partition t/0 was deleted and created again (id Z → A)"));
  EXPECT_EQ(source_.ends_calls, 0);  // no end was reported, so nothing could be planned
}

TEST_F(SourceWatcherTest, APartitionThatMayGoIsToldWithTheEndsWhenItStaysAway) {
  source_.traits.may_lose_partitions = true;
  Told([this] { source_.partitions = {"t/0", "t/1"}; });
  const auto watcher = Watch();
  source_.Until([this] { return source_.last_ends == 2; });
  Told([this] { source_.gone = {"t/0"}; });
  source_.Until([this] {
    return source_.last_ends == 1;
  });  // the missing partition is doubted, the other is reported
  source_.Until([this] { return !source_.told_gone.empty(); });
  {
    absl::MutexLock lock(&source_.mutex);
    EXPECT_EQ(source_.told_gone.front(), "t/0 deleted");
    EXPECT_TRUE(source_.lost.empty());
  }
  Told([this] { source_.partitions = {"t/1"}; });
  watcher->Retire({"t/0"});
  source_.Until([this] { return source_.asked == std::vector<PartitionName>{"t/1"}; });
}

TEST_F(SourceWatcherTest, ARetiredPartitionThatIsThereAgainIsFoundWhereItWasLeft) {
  source_.traits.may_lose_partitions = true;
  const auto watcher = Watch({"t/0", Offset(9), "A", /*retired=*/true});
  source_.Until([this] { return !source_.found.empty(); });
  absl::MutexLock lock(&source_.mutex);
  EXPECT_THAT(source_.found, ElementsAre("t/0@9 of A"));
}

TEST_F(SourceWatcherTest, ATopicMadeAnewThatMayGoIsGone) {
  source_.traits.may_lose_partitions = true;
  const auto watcher = Watch();
  source_.Until([this] { return source_.ends_calls > 0; });
  Told([this] { source_.topic_id = "B"; });
  source_.Until([this] { return !source_.told_gone.empty(); });
  absl::MutexLock lock(&source_.mutex);
  EXPECT_EQ(source_.told_gone.front(), "t/0 its topic was deleted and created again");
}

// Its end is behind what was read of the one before, as after an unclean leader election.
TEST_F(SourceWatcherTest, AShorterTopicMadeAnewThatMayGoIsGoneAndNotCut) {
  source_.traits.may_lose_partitions = true;
  const auto watcher = Watch({"t/0", Offset(9), "A"});
  source_.Until([this] { return source_.ends_calls > 0; });
  Told([this] {
    source_.topic_id = "B";
    source_.end = 4;
  });
  source_.Until([this] { return !source_.told_gone.empty() || !source_.lost.empty(); });
  absl::MutexLock lock(&source_.mutex);
  EXPECT_THAT(source_.lost, ElementsAre());
  EXPECT_EQ(source_.told_gone.front(), "t/0 its topic was deleted and created again");
}

TEST_F(SourceWatcherTest, ATopicMadeAnewUnderTheJobIsLost) {
  const auto watcher = Watch();
  source_.Until([this] { return source_.ends_calls > 0; });
  Told([this] { source_.topic_id = "B"; });
  source_.Until([this] { return !source_.lost.empty(); });
  absl::MutexLock lock(&source_.mutex);
  ASSERT_FALSE(source_.lost.empty());
  EXPECT_THAT(std::string(source_.lost[0].message()), HasSubstr("(id A → B)"));
}

TEST_F(SourceWatcherTest, ALogThatEndsBeforeWhatWasReadIsLost) {
  const auto watcher = Watch({"t/0", Offset(9), ""});
  source_.Until(
      [this] { return source_.ends_calls > 2; });  // all of the partition has been read: no loss
  Told([this] { source_.end = 20; });
  watcher->Publish({{"t/0", Offset(20)}});
  source_.Until([this] { return source_.published["t/0"] == 20; });
  Told([this] { source_.end = 15; });
  source_.Until([this] { return !source_.lost.empty(); });
  absl::MutexLock lock(&source_.mutex);
  ASSERT_FALSE(source_.lost.empty());
  EXPECT_THAT(std::string(source_.lost[0].message()),
              HasSubstr("partition t/0 has been read up to offset 20, but now ends at 15: offsets "
                        "[15, 20) were cut off"));
}

TEST_F(SourceWatcherTest, EndsOfASourceThatMakesItsRowsAgainMayFall) {
  source_.traits.keeps_records = false;
  const auto watcher = Watch({"t/0", Offset(20), ""});  // the partition ends at 9
  source_.Until([this] { return source_.ends_calls > 5; });
  absl::MutexLock lock(&source_.mutex);
  EXPECT_TRUE(source_.lost.empty());
}

// A replica that has just become the leader may not know the whole log yet.
TEST_F(SourceWatcherTest, AnEndThatIsBehindForAMomentIsNoLoss) {
  Told([this] { source_.end = 5; });
  const auto watcher = Watch({"t/0", Offset(9), ""});
  source_.Until([this] { return source_.topic_id_calls > 0; });
  Told([this] { source_.end = 9; });
  source_.Until([this] { return source_.ends_calls > 5; });
  absl::MutexLock lock(&source_.mutex);
  EXPECT_TRUE(source_.lost.empty());
}

TEST_F(SourceWatcherTest, PublishesTheLatestAndAllOfItByTheEnd) {
  const auto watcher = Watch();
  for (int64_t offset = 1; offset <= 1000; ++offset) {
    watcher->Publish({{"t/0", Offset(offset)}});
  }
  watcher->Publish({{"t/1", Offset(5)}});
  watcher->Stop();
  absl::MutexLock lock(&source_.mutex);
  EXPECT_EQ(source_.published["t/0"], 1000);
  EXPECT_EQ(source_.published["t/1"], 5);
  EXPECT_LT(source_.publish_calls, 1000);
}

// The driver is told to stop, and the broker hangs: another attempt would only take time.
TEST_F(SourceWatcherTest, DoesNotPublishAtTheEndWhatItCouldNotPublishBefore) {
  source_.failing_publishes = 1;
  publish_interval_ = absl::Hours(1);
  const auto watcher = Watch();
  watcher->Publish({{"t/0", Offset(3)}});
  source_.Until([this] { return source_.publish_calls == 1; });
  watcher->Stop();
  absl::MutexLock lock(&source_.mutex);
  EXPECT_EQ(source_.publish_calls, 1);
}

// Each call may take seconds while the broker hangs, and so did the end of the driver.
TEST_F(SourceWatcherTest, AsksNothingMoreOnceItIsToldToStop) {
  const auto watcher = Watch();
  watcher->set_ends_interval(absl::ZeroDuration());  // then they are due in every round
  int asked = 0;
  {
    absl::MutexLock lock(&source_.mutex);
    source_.failing_publishes = 1;
    source_.during_publish = [&] {
      watcher->RequestStop();
      absl::MutexLock asked_lock(&source_.mutex);
      asked = source_.asked_for_ends;
    };
  }
  watcher->Publish({{"t/0", Offset(3)}});
  source_.Until([this] { return source_.publish_calls == 1; });
  watcher->Stop();
  absl::MutexLock lock(&source_.mutex);
  EXPECT_EQ(source_.asked_for_ends, asked);
  EXPECT_EQ(source_.publish_calls, 1);
}

// A job may have no further batch for hours, so nothing else would bring the offsets out.
TEST_F(SourceWatcherTest, PublishesAgainWhatCouldNotBePublished) {
  source_.failing_publishes = 2;
  const auto watcher = Watch();
  watcher->Publish({{"t/0", Offset(3)}, {"t/1", Offset(5)}});
  source_.Until([this] { return source_.published.size() == 2; });
  absl::MutexLock lock(&source_.mutex);
  EXPECT_EQ(source_.published["t/0"], 3);
  EXPECT_EQ(source_.published["t/1"], 5);
  EXPECT_EQ(source_.publish_calls, 3);
}

}  // namespace
}  // namespace millrace::driver
