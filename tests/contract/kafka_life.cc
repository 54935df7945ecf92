#include "tests/contract/kafka_life.h"

#include <atomic>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/base/failpoint.h"
#include "common/base/steady_time.h"

namespace millrace {
namespace {

constexpr absl::Duration kTimeout = absl::Seconds(30);

}  // namespace

KafkaLife::KafkaLife()
    : topic_(NewTopic(1)),
      life_(*Connectors().Sink("kafka"),
            TextSink("kafka", "raw",
                     {{"bootstrap.servers", Broker().bootstrap_servers()}, {"topic", topic_}})) {}

void KafkaLife::TearDown() { SetFailpointHandler(nullptr); }

void KafkaLife::SetOption(const std::string& name, const std::string& value) {
  (*life_.table.mutable_options())[name] = value;
}

void KafkaLife::Write(SinkMember& member, int64_t batch, const std::string& value, uint32_t shard) {
  EXPECT_OK(member.Write(batch, TextRows({{value}}), shard));
  EXPECT_OK(member.session().Prepare(BatchId(batch), SteadyNow() + kTimeout));
}

void KafkaLife::Commit(SinkMember& member, int64_t through) {
  EXPECT_OK(life_.CommitAndJournal(&member, through));
}

void KafkaLife::WriteAndCommit(SinkMember& member, int64_t batch, const std::string& value) {
  Write(member, batch, value);
  Commit(member, batch);
}

void KafkaLife::CommitUnanswered(SinkMember& member, int64_t through) {
  At("kafka_sink.before_commit", [] { Broker().Pause(); });
  const absl::Status status =
      member.session().Commit(BatchId(through), SteadyNow() + absl::Milliseconds(500));
  SetFailpointHandler(nullptr);
  Broker().Resume();
  EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable) << status;
}

KafkaLife::Strings KafkaLife::Visible() const {
  StableEnd(topic_);
  Strings values;
  for (const PlainRecord& record : Consume(topic_)) {
    values.push_back(*record.value);
  }
  return values;
}

std::string KafkaLife::PlaceName(uint32_t slot) const {
  return absl::StrCat("millrace-", life_.context.incarnation, "-g", life_.context.sink, "-s", slot);
}

std::string KafkaLife::LogTopic() const { return "millrace-marks-" + life_.context.job_name; }

std::string KafkaLife::KeyPrefix(uint32_t slot) const {
  return absl::StrCat(life_.context.incarnation, "/", life_.context.sink, "/", slot, "/");
}

void KafkaLife::At(const std::string& failpoint, std::function<void()> fn) {
  auto done = std::make_shared<std::atomic<bool>>(false);
  SetFailpointHandler([=](const char* name) {
    if (name == failpoint && !done->exchange(true)) {
      fn();
    }
  });
}

void ExpectAborted(const absl::Status& status, const std::string& says) {
  EXPECT_EQ(status.code(), absl::StatusCode::kAborted) << status;
  EXPECT_TRUE(absl::StrContains(status.message(), says)) << status;
}

}  // namespace millrace
