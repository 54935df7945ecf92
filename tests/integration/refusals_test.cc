// Tests rows that their topic does not take, from source to sink with a real broker: they follow
// on_error of the table they come from, and a batch that a job has failed on delays nobody.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "client/local_engine.h"
#include "connectors/kafka/admin/admin.h"
#include "tests/harness/job_results.h"
#include "tests/harness/kafka_broker.h"

namespace millrace {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr absl::Duration kTimeout = absl::Seconds(60);

class RefusalsTest : public testing::Test {
 protected:
  RefusalsTest() : in_(Fresh("in")), out_(Fresh("out")), dead_(Fresh("dead")) {
    auto admin = kafka::KafkaAdmin::Create(Properties());
    EXPECT_TRUE(admin.ok()) << admin.status();
    admin_ = *std::move(admin);
    for (const std::string& topic : {in_, out_, dead_}) {
      const absl::Status created = admin_->CreateTopic({.name = topic}, kTimeout);
      EXPECT_TRUE(created.ok()) << created;
    }
    auto engine = client::LocalEngine::Start({.slots = 2});
    EXPECT_TRUE(engine.ok()) << engine.status();
    engine_ = *std::move(engine);
  }

  static kafka::KafkaProperties Properties() {
    return {{"bootstrap.servers", KafkaBroker::Shared().bootstrap_servers()}};
  }
  static std::string Fresh(const std::string& stem) {
    static int next = 0;
    return absl::StrCat(stem, next++);
  }

  absl::Status Produce(const std::string& topic, const std::string& value) {
    auto producer = kafka::NewKafkaRecordProducer(Properties(), topic, kTimeout);
    if (!producer.ok()) {
      return producer.status();
    }
    const absl::Status sent = (*producer)->Send(std::nullopt, value);
    return sent.ok() ? (*producer)->Flush(kTimeout) : sent;
  }
  void Feed(const std::string& value) {
    const absl::Status produced = Produce(in_, value);
    ASSERT_TRUE(produced.ok()) << produced;
  }

  // Sets max.message.bytes of the topic "out" and waits until the broker heeds it.
  void Limit(size_t bytes) {
    const absl::Status set =
        admin_->SetTopicConfig(out_, "max.message.bytes", absl::StrCat(bytes), kTimeout);
    ASSERT_TRUE(set.ok()) << set;
    const absl::Status heeded = WaitUntil(
        [&] { return !Produce(out_, std::string(bytes, 'p')).ok(); }, kTimeout, "the new limit");
    ASSERT_TRUE(heeded.ok()) << heeded;
  }

  std::vector<std::string> Values(const std::string& topic) const {
    std::vector<std::string> values;
    const absl::Status read = kafka::ConsumeKafka(
        Properties(), {.topic = topic}, kTimeout,
        [&](const kafka::KafkaRecordView& record) {
          if (record.value->empty() || record.value->front() != 'p') {  // one of Limit's records
            values.emplace_back(*record.value);
          }
          return true;
        },
        [] { return false; });
    EXPECT_TRUE(read.ok()) << read;
    return values;
  }
  void WaitForValues(const std::string& topic, size_t count) const {
    const absl::Status all = WaitUntil([&] { return Values(topic).size() >= count; }, kTimeout,
                                       absl::StrCat("values in ", topic));
    EXPECT_TRUE(all.ok()) << all;
  }

  std::string Script(const std::string& on_error, const std::string& where = "",
                     const std::string& out_options = "") const {
    const std::string options =
        absl::StrCat("connector = 'kafka', format = 'raw', \"bootstrap.servers\" = '",
                     KafkaBroker::Shared().bootstrap_servers(), "', topic = '");
    return absl::StrCat("SET batch_duration = '20 ms';\nCREATE TABLE \"in\" (value text) WITH (",
                        options, in_, "', on_error = '", on_error,
                        "');\nCREATE TABLE \"out\" (value text) WITH (", options, out_, "'",
                        out_options, ");\nCREATE TABLE dead (error text) WITH (", options, dead_,
                        "');\nINSERT INTO \"out\" SELECT value FROM \"in\"", where, ";\n");
  }
  void Submit(const std::string& script) {
    proto::SubmitRequest request;
    request.set_sql(script);
    request.set_name("job");
    const auto submitted = engine_->client().Submit(request);
    ASSERT_TRUE(submitted.ok()) << submitted.status();
  }
  proto::JobSummary Job() {
    const auto jobs = engine_->client().List();
    EXPECT_TRUE(jobs.ok()) << jobs.status();
    return jobs->jobs(0);
  }
  void WaitForFailure() {
    const absl::Status failed = WaitUntil([&] { return Job().phase() == proto::PHASE_FAILED; },
                                          kTimeout, "the job to fail");
    EXPECT_TRUE(failed.ok()) << failed << Job().message();
  }

  const std::string in_;
  const std::string out_;
  const std::string dead_;
  std::unique_ptr<kafka::KafkaAdmin> admin_;
  std::unique_ptr<client::LocalEngine> engine_;
};

TEST_F(RefusalsTest, ALimitThatIsLoweredWhileTheJobRunsLetsRowsFollowOnError) {
  Feed("before");
  Submit(Script("table:dead"));
  WaitForValues(out_, 1);
  Limit(2000);
  Feed(std::string(3000, 'x'));
  Feed("behind");
  WaitForValues(out_, 2);
  WaitForValues(dead_, 1);
  EXPECT_THAT(Values(out_), ElementsAre("before", "behind"));
  EXPECT_THAT(Values(dead_), ElementsAre(testing::AllOf(HasSubstr("record at offset 1"),
                                                        HasSubstr("max.message.bytes, 2000"))));
  EXPECT_EQ(Job().skipped_records(), 1);
}

TEST_F(RefusalsTest, AJobThatFailedOnARowGoesOnUnderSkip) {
  Limit(2000);
  Submit(Script("fail"));
  Feed("before");
  WaitForValues(out_, 1);
  Feed(std::string(3000, 'x'));
  WaitForFailure();
  EXPECT_THAT(Job().message(),
              testing::AllOf(HasSubstr("record at offset 1"), HasSubstr("topic " + out_),
                             HasSubstr("max.message.bytes, 2000")));
  Submit(Script("skip"));
  Feed("behind");
  WaitForValues(out_, 2);
  EXPECT_THAT(Values(out_), ElementsAre("before", "behind"));
}

// A refusal by the broker that nobody could foresee fails the job in its commit, when the batch is
// planned: a changed script withdraws that batch.
TEST_F(RefusalsTest, AJobThatFailedInItsCommitGoesOnWithoutTheRow) {
  Limit(2000);
  const std::string compressed = ", \"compression.type\" = 'gzip'";
  Submit(Script("skip", "", compressed));
  Feed("before");
  WaitForValues(out_, 1);
  std::string noise;
  for (uint64_t bits = 1; noise.size() < 10'000; bits = bits * 6364136223846793005 + 1) {
    noise += absl::StrCat(bits);
  }
  Feed(noise);
  WaitForFailure();
  EXPECT_THAT(Job().message(), testing::AllOf(HasSubstr("topic " + out_), HasSubstr("too large")));
  Submit(Script("skip", " WHERE length(value) < 10000", compressed));
  Feed("behind");
  WaitForValues(out_, 2);
  EXPECT_THAT(Values(out_), ElementsAre("before", "behind"));
}

}  // namespace
}  // namespace millrace
