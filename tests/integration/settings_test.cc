// Every setting changes something that can be seen from outside. A setting that is taken and read
// by nobody is worse than one that is refused: who sets it believes it.
#include "common/config/settings.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "client/local_engine.h"
#include "common/base/steady_time.h"
#include "connectors/kafka/admin/admin.h"
#include "connectors/kafka/testing/transactional_producer.h"
#include "connectors/memory/memory_tables.h"
#include "tests/harness/job_results.h"
#include "tests/harness/kafka_broker.h"

namespace millrace {
namespace {

constexpr absl::Duration kTimeout = absl::Seconds(60);

std::string Fresh(const std::string& stem) {
  static int next = 0;
  return absl::StrCat(stem, next++);
}

std::string FreshDirectory() {
  const std::string directory = absl::StrCat(testing::TempDir(), "/", Fresh("settings-"));
  std::filesystem::create_directories(directory);
  return directory;
}

Batch Keys(const std::vector<std::string>& keys) {
  auto column = std::make_shared<Column>(MakeType(TypeId::kText), keys.size());
  for (size_t i = 0; i < keys.size(); ++i) {
    column->SetTextCopy(i, keys[i]);
  }
  return Batch({column}, keys.size());
}

std::vector<std::string> ManyKeys(size_t count) {
  std::vector<std::string> keys;
  for (size_t i = 0; i < count; ++i) {
    keys.push_back(absl::StrCat("key ", i));
  }
  return keys;
}

// A job that counts the keys of a memory table into another, under one setting.
class CountingJob {
 public:
  CountingJob(const std::string& setting, const std::string& value,
              const std::string& other_settings = "", const std::string& directory = "")
      : in_(Fresh("in")), out_(Fresh("out")) {
    memory::MemoryTables::Global().Table(in_)->SetPartitions(1);
    auto engine = client::LocalEngine::Start({.directory = directory, .slots = 2});
    EXPECT_TRUE(engine.ok()) << engine.status();
    engine_ = *std::move(engine);
    proto::SubmitRequest request;
    request.set_sql(absl::StrCat(
        "SET batch_duration = '10 ms';\n", other_settings, "SET ", setting, " = '", value, "';\n",
        "CREATE TABLE src (k text) WITH (connector = 'memory', \"table\" = '", in_, "');\n",
        "CREATE TABLE dst (k text, n bigint) WITH (connector = 'memory', \"table\" = '", out_,
        "');\nINSERT INTO dst SELECT k, count(*) FROM src GROUP BY k;\n"));
    const auto submitted = engine_->client().Submit(request);
    EXPECT_TRUE(submitted.ok()) << submitted.status();
    name_ = submitted.ok() ? submitted->name() : "";
  }

  const std::string& name() const { return name_; }
  void Append(const std::vector<std::string>& keys) {
    memory::MemoryTables::Global().Table(in_)->Append(0, Keys(keys));
  }
  std::vector<memory::MemoryTable::Committed> Out() const {
    return memory::MemoryTables::Global().Table(out_)->committed();
  }
  // All that `enough` asks of the output.
  std::vector<memory::MemoryTable::Committed> WaitFor(
      const std::function<bool(const std::vector<memory::MemoryTable::Committed>&)>& enough) {
    EXPECT_TRUE(memory::MemoryTables::Global().Table(out_)->WaitForCommitted(
        enough, SteadyNow() + kTimeout));
    return Out();
  }
  proto::JobDetail Detail() {
    auto detail = engine_->client().Show(name_);
    EXPECT_TRUE(detail.ok()) << detail.status();
    return *std::move(detail);
  }
  // Feeds a row after each batch until `count` batches are committed.
  void RunBatches(int64_t count) {
    const absl::Status status = WaitUntil(
        [&] {
          Append({"tick"});
          return Detail().summary().committed_batch() >= count;
        },
        kTimeout, absl::StrCat(count, " batches"));
    EXPECT_TRUE(status.ok()) << status;
  }

 private:
  std::string in_;
  std::string out_;
  std::unique_ptr<client::LocalEngine> engine_;
  std::string name_;
};

size_t RowsOf(const std::vector<memory::MemoryTable::Committed>& committed) {
  size_t rows = 0;
  for (const memory::MemoryTable::Committed& one : committed) {
    rows += one.rows.rows().count;
  }
  return rows;
}

std::string ShardsThatWrote(const std::string& setting, const std::string& value) {
  CountingJob job(setting, value);
  job.Append(ManyKeys(200));
  uint32_t highest = 0;
  for (const auto& one : job.WaitFor([](const auto& out) { return RowsOf(out) >= 200; })) {
    highest = std::max(highest, one.shard);
  }
  return absl::StrCat("shards up to ", highest);
}

std::string LeastPauseBetweenBatches(const std::string& setting, const std::string& value) {
  CountingJob job(setting, value);
  job.RunBatches(6);
  int64_t least = INT64_MAX;
  const std::vector<memory::MemoryTable::Committed> out = job.Out();
  for (size_t i = 1; i < out.size(); ++i) {
    if (out[i].batch_time_us != out[i - 1].batch_time_us) {
      least = std::min(least, out[i].batch_time_us - out[i - 1].batch_time_us);
    }
  }
  return least < 250'000 ? "below 250 ms" : "250 ms or more";
}

std::string LeastPauseBetweenCommits(const std::string& setting, const std::string& value) {
  CountingJob job(setting, value);
  job.RunBatches(1);
  std::vector<absl::Time> commits;
  int64_t committed = 0;
  const absl::Status status = WaitUntil(
      [&] {
        job.Append({"tick"});
        const int64_t now_committed = job.Detail().summary().committed_batch();
        if (now_committed != std::exchange(committed, now_committed)) {
          commits.push_back(SteadyNow());
        }
        return commits.size() == 4;
      },
      kTimeout, "four commits");
  EXPECT_TRUE(status.ok()) << status;
  absl::Duration least = absl::InfiniteDuration();
  for (size_t i = 2; i < commits.size(); ++i) {  // the first was seen some time after it came
    least = std::min(least, commits[i] - commits[i - 1]);
  }
  return least < absl::Milliseconds(250) ? "below 250 ms" : "250 ms or more";
}

std::string RowsOfTheFirstBatch(const std::string& setting, const std::string& value) {
  CountingJob job(setting, value);
  job.Append(ManyKeys(500));
  // Shards commit a batch one after another, and all of them before any commits the next.
  const auto out = job.WaitFor([](const auto& committed) {
    size_t rows = 0;
    for (const auto& one : committed) {
      rows += one.rows.rows().count;
    }
    return rows >= 500 || (!committed.empty() && committed.back().batch != committed.front().batch);
  });
  size_t rows = 0;
  for (const auto& one : out) {
    rows += one.batch == out.front().batch ? one.rows.rows().count : 0;
  }
  return rows < 500 ? "a part of the rows" : "all rows";
}

std::string WhetherASnapshotComesBySoon(const std::string& setting, const std::string& value) {
  CountingJob job(setting, value, "", FreshDirectory());
  job.RunBatches(20);
  return job.Detail().summary().snapshot_batch() > 0 ? "a snapshot" : "none yet";
}

const std::string& Place() {
  static const std::string& place = *new std::string(FreshDirectory());
  return place;
}

std::string WhereSnapshotsAre(const std::string& setting, const std::string& value) {
  bool here = false;
  {
    CountingJob job(setting, value, "SET checkpoint_interval = '10 ms';\n", FreshDirectory());
    const absl::Status taken = WaitUntil(
        [&] {
          job.Append({"tick"});
          return job.Detail().summary().snapshot_batch() > 0;
        },
        kTimeout, "a snapshot");
    EXPECT_TRUE(taken.ok()) << taken;
    here = std::filesystem::exists(Place()) && !std::filesystem::is_empty(Place());
  }
  std::filesystem::remove_all(Place());  // not before the job has ended: it makes and removes files
  return here ? "here" : "elsewhere";
}

std::string WhereStateIs(const std::string& setting, const std::string& value) {
  const std::string scratch = FreshDirectory();
  setenv("TMPDIR", scratch.c_str(), 1);
  CountingJob job(setting, value);
  job.RunBatches(2);
  const bool on_disk = !std::filesystem::is_empty(scratch);
  unsetenv("TMPDIR");
  return on_disk ? "on disk" : "in memory";
}

// Whether a key that has rested for longer than 200 ms begins to count anew.
std::string WhatAKeyRemembers(const std::string& setting, const std::string& value) {
  CountingJob job(setting, value);
  const auto counts = [&job] {
    std::vector<int64_t> all;
    for (const auto& one : job.Out()) {
      one.rows.rows().ForEach([&](uint32_t row) {
        if (one.rows.weight(row) > 0 && one.rows.column(0)->value<TextView>(row).view() == "k") {
          all.push_back(one.rows.column(1)->value<int64_t>(row));
        }
      });
    }
    return all;
  };
  job.Append({"k"});
  job.WaitFor([&](const auto&) { return true; });
  EXPECT_TRUE(WaitUntil([&] { return counts().size() == 1; }, kTimeout, "the first count").ok());
  const absl::Time rested = SteadyNow() + absl::Milliseconds(400);
  EXPECT_TRUE(WaitUntil([&] { return SteadyNow() > rested; }, kTimeout, "time to pass").ok());
  job.Append({"k"});
  EXPECT_TRUE(WaitUntil([&] { return counts().size() == 2; }, kTimeout, "the next count").ok());
  return absl::StrCat("counts on to ", counts().back());
}

// What a job reads of a topic with an open transaction at its end.
std::string WhatIsReadOfAnOpenTransaction(const std::string& setting, const std::string& value) {
  const KafkaBroker& broker = KafkaBroker::Shared();
  const kafka::KafkaProperties properties = {{"bootstrap.servers", broker.bootstrap_servers()}};
  const std::string topic = Fresh("topic");
  auto admin = kafka::KafkaAdmin::Create(properties);
  EXPECT_TRUE(admin.ok()) << admin.status();
  EXPECT_TRUE((*admin)->CreateTopic({.name = topic, .partitions = 1}, kTimeout).ok());
  auto producer = kafka::NewTransactionalProducer(broker.bootstrap_servers(), topic);
  EXPECT_TRUE(producer.ok()) << producer.status();
  for (const char* word : {"committed", "open"}) {
    EXPECT_TRUE((*producer)->Begin().ok());
    EXPECT_TRUE((*producer)->Send(topic, 0, word).ok());
    EXPECT_TRUE((*producer)->Flush().ok());
    if (word == std::string("committed")) {
      EXPECT_TRUE((*producer)->Commit().ok());
    }
  }
  auto engine = client::LocalEngine::Start({.slots = 2});
  EXPECT_TRUE(engine.ok()) << engine.status();
  const auto rows =
      RunJob(**engine,
             absl::StrCat(
                 "SET ", setting, " = '", value, "';\nCREATE TABLE src (v text) WITH (connector = ",
                 "'kafka', \"bootstrap.servers\" = '", broker.bootstrap_servers(), "', topic = '",
                 topic, "', format = 'raw');\nCREATE TABLE dst (v text) WITH (connector = ",
                 "'print');\nINSERT INTO dst SELECT v FROM src;\n"));
  EXPECT_TRUE(rows.ok()) << rows.status();
  std::string read;
  for (const auto& [row, weight] : *rows) {
    absl::StrAppend(&read, row, " ");
  }
  return read;
}

// What hour a moment has.
std::string HourOfNoonInGreenwich(const std::string& setting, const std::string& value) {
  auto engine = client::LocalEngine::Start({.slots = 1});
  EXPECT_TRUE(engine.ok()) << engine.status();
  const auto rows =
      RunJob(**engine,
             absl::StrCat(
                 "SET ", setting, " = '", value, "';\nCREATE TABLE src (n bigint) WITH (connector ",
                 "= 'generator', rows = '1', \"kind.n\" = 'sequence');\nCREATE TABLE dst (h text) ",
                 "WITH (connector = 'print');\nINSERT INTO dst SELECT to_char(timestamptz ",
                 "'2024-07-01 12:00+00', 'HH24') FROM src;\n"));
  EXPECT_TRUE(rows.ok()) << rows.status();
  return rows->begin()->first;
}

struct Probe {
  std::string one;
  std::string other;
  std::function<std::string(const std::string& setting, const std::string& value)> observe;
};

// By the setting's name: two values under which something is different.
const std::map<std::string, Probe>& Probes() {
  static const auto& probes = *new std::map<std::string, Probe>{
      {"job_name",
       {"left", "right",
        [](const std::string& setting, const std::string& value) {
          return CountingJob(setting, value).name();
        }}},
      {"batch_duration", {"10 ms", "300 ms", LeastPauseBetweenBatches}},
      {"commit_interval", {"0 s", "500 ms", LeastPauseBetweenCommits}},
      {"parallelism", {"1", "8", ShardsThatWrote}},
      {"key_groups", {"1", "4096", ShardsThatWrote}},
      {"checkpoint_interval", {"10 ms", "1 h", WhetherASnapshotComesBySoon}},
      {"checkpoint_location", {Place(), FreshDirectory(), WhereSnapshotsAre}},
      {"max_rate_per_partition", {"10", "0", RowsOfTheFirstBatch}},
      {"isolation_level", {"read_committed", "read_uncommitted", WhatIsReadOfAnOpenTransaction}},
      {"state_backend", {"memory", "rocksdb", WhereStateIs}},
      {"state_ttl", {"200 ms", "1 h", WhatAKeyRemembers}},
      {"timezone", {"UTC", "Europe/Berlin", HourOfNoonInGreenwich}},
  };
  return probes;
}

// Shown elsewhere, with the time under control or PostgreSQL's answers.
const std::map<std::string, std::string>& ShownElsewhere() {
  static const auto& tests = *new std::map<std::string, std::string>{
      {"max_clock_step", "driver/coordinator/batch_clock_test.cc"},
      {"target_batch_time", "driver/coordinator/rate_controller_test.cc"},
  };
  return tests;
}

TEST(SettingsTest, EverySettingHasAProbe) {
  for (const SettingDescription& setting : DescribeSettings()) {
    EXPECT_EQ(Probes().count(setting.name) + ShownElsewhere().count(setting.name), 1u)
        << setting.name << ": show here that it changes something";
  }
}

class SettingTest : public testing::TestWithParam<std::string> {};

TEST_P(SettingTest, ChangesSomething) {
  const Probe& probe = Probes().at(GetParam());
  EXPECT_NE(probe.observe(GetParam(), probe.one), probe.observe(GetParam(), probe.other));
}

std::vector<std::string> Probed() {
  std::vector<std::string> names;
  for (const auto& [name, probe] : Probes()) {
    names.push_back(name);
  }
  return names;
}

INSTANTIATE_TEST_SUITE_P(Settings, SettingTest, testing::ValuesIn(Probed()),
                         [](const auto& info) { return info.param; });

}  // namespace
}  // namespace millrace
