#include "executor/testing/test_connectors.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/base/check.h"
#include "common/base/status.h"
#include "common/base/steady_time.h"
#include "common/columnar/text_view.h"
#include "executor/testing/shared_test_sink.h"

namespace millrace::executor {

void TestTopic::Append(const std::string& partition, std::vector<std::string> lines) {
  absl::MutexLock lock(&mutex_);
  std::vector<std::string>& all = partitions_[partition].lines;
  all.insert(all.end(), std::make_move_iterator(lines.begin()),
             std::make_move_iterator(lines.end()));
  changed_.SignalAll();
}

void TestTopic::Withhold(const std::string& partition, int64_t offset) {
  absl::MutexLock lock(&mutex_);
  partitions_[partition].withheld_from = offset;
}

void TestTopic::Release(const std::string& partition) {
  absl::MutexLock lock(&mutex_);
  partitions_[partition].withheld_from = INT64_MAX;
  changed_.SignalAll();
}

void TestTopic::Break(const std::string& partition, absl::Status status) {
  absl::MutexLock lock(&mutex_);
  partitions_[partition].broken = std::move(status);
  changed_.SignalAll();
}

void TestTopic::WaitUntilRead(const std::string& partition, int64_t offset) {
  absl::MutexLock lock(&mutex_);
  const absl::Time deadline = SteadyNow() + absl::Seconds(20);
  while (partitions_[partition].read_to < offset) {
    MILLRACE_CHECK(!changed_.WaitUntil(&mutex_, deadline)) << "nobody reads " << partition;
  }
}

int64_t TestTopic::Readable(const std::string& partition) const {
  absl::MutexLock lock(&mutex_);
  auto found = partitions_.find(partition);
  return found == partitions_.end()
             ? 0
             : std::min<int64_t>(static_cast<int64_t>(found->second.lines.size()),
                                 found->second.withheld_from);
}

absl::StatusOr<SourceChunk> TestTopic::Read(const std::string& partition, int64_t position,
                                            int64_t end, size_t max_rows, uint64_t hash_seed,
                                            absl::Time deadline) {
  absl::MutexLock lock(&mutex_);
  Partition& from = partitions_[partition];
  const auto readable = [&] {
    return std::min({static_cast<int64_t>(from.lines.size()), from.withheld_from, end});
  };
  while (from.broken.ok() && readable() <= position) {
    if (changed_.WaitUntil(&mutex_, deadline)) {
      return absl::DeadlineExceededError("nothing to read yet");
    }
  }
  if (!from.broken.ok()) {
    return from.broken;
  }
  const int64_t to = std::min(readable(), position + static_cast<int64_t>(max_rows));
  SourceChunk chunk;
  // As in a real connector, text stays in the fetched lines, which the column keeps alive.
  auto fetched = std::make_shared<std::vector<std::string>>(from.lines.begin() + position,
                                                            from.lines.begin() + to);
  auto column = std::make_shared<Column>(MakeType(TypeId::kText), fetched->size());
  column->AddOwner(fetched);
  chunk.input_hash = hash_seed;
  for (size_t i = 0; i < fetched->size(); ++i) {
    const std::string& line = (*fetched)[i];
    column->mutable_values<TextView>()[i] = TextView(line);
    if (line == "<bad>") {
      chunk.errors.push_back(
          {.row = static_cast<uint32_t>(i), .status = absl::InvalidArgumentError("not a line")});
    }
    chunk.offsets.push_back(position + static_cast<int64_t>(i));
    chunk.bytes += static_cast<int64_t>(line.size());
    for (const char c : line) {
      chunk.input_hash = chunk.input_hash * 31 + static_cast<uint8_t>(c);
    }
  }
  chunk.batch = Batch({std::move(column)}, fetched->size());
  chunk.next = Offset(to);
  from.read_to = to;
  changed_.SignalAll();
  return chunk;
}

namespace {

class TestReader : public SourceReader {
 public:
  TestReader(TestTopic* topic, std::function<void()> on_progress)
      : topic_(topic), on_progress_(std::move(on_progress)) {}

  absl::Status Assign(const KnownPartition& partition) override {
    absl::MutexLock lock(&mutex_);
    positions_[partition.name] = partition.next.value();
    on_progress_();
    return absl::OkStatus();
  }
  void Unassign(const PartitionName& partition) override {
    absl::MutexLock lock(&mutex_);
    positions_.erase(partition);
  }
  absl::StatusOr<SourceChunk> Read(const PartitionName& partition, Offset end, size_t max_rows,
                                   uint64_t hash_seed, absl::Time deadline) override {
    int64_t position = 0;
    {
      absl::MutexLock lock(&mutex_);
      position = positions_.at(partition);
    }
    absl::StatusOr<SourceChunk> chunk =
        topic_->Read(partition, position, end.value(), max_rows, hash_seed, deadline);
    if (chunk.ok()) {
      absl::MutexLock lock(&mutex_);
      positions_[partition] = chunk->next.value();
    }
    return chunk;
  }
  std::vector<PartitionOffset> FetchedTo() override {
    std::vector<PartitionOffset> fetched;
    absl::MutexLock lock(&mutex_);
    fetched.reserve(positions_.size());
    for (const auto& [partition, position] : positions_) {
      fetched.push_back({partition, Offset(std::max(position, topic_->Readable(partition)))});
    }
    return fetched;
  }

 private:
  TestTopic* const topic_;
  const std::function<void()> on_progress_;
  absl::Mutex mutex_;
  std::map<std::string, int64_t> positions_ ABSL_GUARDED_BY(mutex_);
};

class TestSourceConnector : public SourceConnector {
 public:
  explicit TestSourceConnector(TestTopic* topic) : topic_(topic) {}
  absl::Status Validate(const proto::Source&) const override { return absl::OkStatus(); }
  SourceTraits Traits(const proto::Source&) const override { return {}; }
  std::vector<std::pair<std::string, SqlType>> MetadataColumns() const override { return {}; }
  absl::StatusOr<std::unique_ptr<SourceEnumerator>> CreateEnumerator(
      const proto::Source&, const SourceContext&) const override {
    return absl::UnimplementedError("the tests' driver knows the partitions");
  }
  absl::StatusOr<std::unique_ptr<SourceReader>> CreateReader(
      const proto::Source&, const SourceContext& context) const override {
    return std::make_unique<TestReader>(topic_, context.on_progress);
  }

 private:
  TestTopic* const topic_;
};

std::string ValueAsText(const Column& column, size_t row) {
  if (column.IsNull(row)) {
    return "NULL";
  }
  switch (column.type().id) {
    case TypeId::kText:
      return std::string(column.value<TextView>(row).view());
    case TypeId::kInt64:
      return absl::StrCat(column.value<int64_t>(row));
    default:
      MILLRACE_CHECK(false) << "no test has a column of type " << column.type().ToString();
      return "";
  }
}

}  // namespace

std::vector<std::string> RowsAsText(const Batch& batch) {
  std::vector<std::string> rows;
  batch.rows().ForEach([&](uint32_t row) {
    std::vector<std::string> values;
    for (const ColumnPtr& column : batch.columns()) {
      values.push_back(ValueAsText(*column, row));
    }
    if (batch.weight(row) != 1) {
      values.push_back(absl::StrCat(batch.weight(row)));
    }
    rows.push_back(absl::StrJoin(values, "|"));
  });
  return rows;
}

class TestSession : public SingleShardSession {
 public:
  TestSession(TestOutput* output, const SinkContext& context)
      : output_(output),
        job_(context.job_name),
        name_(absl::StrCat(context.sink, "/", context.shard)) {
    output_->Add(absl::StrCat("open ", name_, " '", context.marker, "'"));
    absl::MutexLock lock(&mutex_);
    absl::MutexLock output_lock(&output_->mutex_);
    mark_.batch = output_->committed_[name_];
    mark_.marker = absl::StrCat("e", context.epoch.value(), " after '", context.marker, "'");
  }
  ~TestSession() override { output_->Add(absl::StrCat("close ", name_)); }

  absl::Status Write(const SinkBatch& batch, const Batch& rows) override {
    refused_ = output_->RefusedOf(rows);
    if (!refused_.empty()) {
      return refused_.errors().front().status;
    }
    absl::MutexLock lock(&mutex_);
    for (std::string& row : RowsAsText(rows)) {
      if (batch.id > mark_.batch) {
        held_bytes_ += static_cast<int64_t>(row.size());
        uncommitted_rows_[batch.id].push_back(std::move(row));
      }
    }
    return absl::OkStatus();
  }
  std::vector<RowError> TakeRefused() override { return refused_.Take(); }
  absl::Status Prepare(BatchId batch, absl::Time) override {
    output_->Add(absl::StrCat("prepare ", name_, " b", batch.value()));
    return absl::OkStatus();
  }
  absl::Status Commit(BatchId through, absl::Time) override {
    RETURN_IF_ERROR(output_->BeginCommit(job_));
    absl::MutexLock lock(&mutex_);
    absl::MutexLock output_lock(&output_->mutex_);
    while (!uncommitted_rows_.empty() && uncommitted_rows_.begin()->first <= through) {
      for (std::string& row : uncommitted_rows_.begin()->second) {
        held_bytes_ -= static_cast<int64_t>(row.size());
        output_->rows_.emplace_back(uncommitted_rows_.begin()->first.value(), std::move(row));
      }
      uncommitted_rows_.erase(uncommitted_rows_.begin());
    }
    mark_.batch = through;
    mark_.marker = absl::StrCat("m", through.value());
    output_->committed_[name_] = through;
    output_->events_.push_back(absl::StrCat("commit ", name_, " b", through.value()));
    return absl::OkStatus();
  }

  SinkMark mark() const override {
    absl::MutexLock lock(&mutex_);
    return mark_;
  }
  void NoteBatch(BatchId batch, int64_t batch_time_us) override {
    output_->Add(absl::StrCat("note ", name_, " b", batch.value(), " at ", batch_time_us));
  }
  void Finish() override { output_->Add(absl::StrCat("finish ", name_)); }
  absl::Status Settle(BatchId batch, absl::Time) override {
    output_->Add(absl::StrCat("settle ", name_, " b", batch.value()));
    absl::MutexLock lock(&output_->mutex_);
    return output_->settle_failure_;
  }
  int64_t wake_at_us() const override {
    absl::MutexLock lock(&output_->mutex_);
    const auto own = output_->wakes_.find(name_);
    return own == output_->wakes_.end() ? output_->wake_at_us_ : own->second;
  }
  int64_t held_bytes() const override {
    absl::MutexLock lock(&mutex_);
    return held_bytes_;
  }

 private:
  TestOutput* const output_;
  const std::string job_;
  const std::string name_;
  RowErrors refused_;  // used by Write
  mutable absl::Mutex mutex_;
  SinkMark mark_ ABSL_GUARDED_BY(mutex_);
  int64_t held_bytes_ ABSL_GUARDED_BY(mutex_) = 0;
  std::map<BatchId, std::vector<std::string>> uncommitted_rows_ ABSL_GUARDED_BY(mutex_);
};

class TestSinkConnector : public SinkConnector {
 public:
  TestSinkConnector(TestOutput* output, bool gathered) : output_(output), gathered_(gathered) {}
  absl::Status Validate(const proto::Sink&) const override { return absl::OkStatus(); }
  SinkTraits traits() const override {
    return {.accepts_changes = true, .accepts_upsert = true, .gathered = gathered_};
  }
  absl::Status Probe(const proto::Sink&, absl::Duration) const override { return absl::OkStatus(); }
  std::vector<std::pair<std::string, SqlType>> MetadataColumns() const override { return {}; }
  absl::StatusOr<std::unique_ptr<SinkSession>> Open(const std::vector<SinkTable>&,
                                                    const SinkContext& context) const override {
    RETURN_IF_ERROR(output_->BeginOpening(context.job_name));
    return std::make_unique<TestSession>(output_, context);
  }

 private:
  TestOutput* const output_;
  const bool gathered_;
};

void TestOutput::Hang(const std::string& job) {
  absl::MutexLock lock(&mutex_);
  hanging_job_ = job;
}

void TestOutput::Release() {
  absl::MutexLock lock(&mutex_);
  hanging_job_.clear();
}

void TestOutput::WaitUntilHanging(int calls) {
  const auto reached = [&]() ABSL_NO_THREAD_SAFETY_ANALYSIS { return hanging_calls_ >= calls; };
  absl::MutexLock lock(&mutex_);
  MILLRACE_CHECK(mutex_.AwaitWithTimeout(absl::Condition(&reached), absl::Seconds(20)))
      << hanging_calls_ << " calls hang, not " << calls;
}

void TestOutput::HangIfTold(const std::string& job) {
  const auto released = [&]() ABSL_NO_THREAD_SAFETY_ANALYSIS { return hanging_job_ != job; };
  absl::MutexLock lock(&mutex_);
  ++hanging_calls_;
  mutex_.Await(absl::Condition(&released));
  --hanging_calls_;
}

std::vector<std::string> TestOutput::Rows() const {
  absl::MutexLock lock(&mutex_);
  std::vector<std::string> rows;
  rows.reserve(rows_.size());
  for (const auto& [batch, row] : rows_) {
    rows.push_back(row);
  }
  return rows;
}

std::vector<std::string> TestOutput::RowsOf(int64_t batch) const {
  absl::MutexLock lock(&mutex_);
  std::vector<std::string> rows;
  for (const auto& [of, row] : rows_) {
    if (of == batch) {
      rows.push_back(row);
    }
  }
  std::sort(rows.begin(), rows.end());
  return rows;
}

std::vector<std::string> TestOutput::Events() const {
  absl::MutexLock lock(&mutex_);
  return events_;
}

void TestOutput::Add(std::string event) {
  absl::MutexLock lock(&mutex_);
  events_.push_back(std::move(event));
}

RowErrors TestOutput::RefusedOf(const Batch& rows) const {
  RowErrors refused;
  const std::vector<std::string> texts = RowsAsText(rows);
  absl::MutexLock lock(&mutex_);
  for (size_t i = 0; i < texts.size(); ++i) {
    if (refused_rows_.contains(texts[i])) {
      refused.Add(rows.rows()[i], absl::InvalidArgumentError("the sink takes no such row"));
    }
  }
  return refused;
}

absl::Status TestOutput::BeginOpening(const std::string& job) {
  {
    absl::MutexLock lock(&mutex_);
    RETURN_IF_ERROR(open_failure_);
  }
  HangIfTold(job);
  return absl::OkStatus();
}

absl::Status TestOutput::BeginCommit(const std::string& job) {
  std::function<void()> callback;
  {
    absl::MutexLock lock(&mutex_);
    callback = on_commit_;
  }
  if (callback != nullptr) {
    callback();
  }
  HangIfTold(job);
  absl::MutexLock lock(&mutex_);
  if (failures_ == 0) {
    return absl::OkStatus();
  }
  --failures_;
  return failure_;
}

void TestOutput::AddRow(BatchId batch, std::string row) {
  absl::MutexLock lock(&mutex_);
  rows_.emplace_back(batch.value(), std::move(row));
}

void TestOutput::Refuse(std::set<std::string> rows) {
  absl::MutexLock lock(&mutex_);
  refused_rows_ = std::move(rows);
}

void TestOutput::FailCommits(int times, absl::Status status) {
  absl::MutexLock lock(&mutex_);
  failures_ = times;
  failure_ = std::move(status);
}

void TestOutput::FailSettling(absl::Status status) {
  absl::MutexLock lock(&mutex_);
  settle_failure_ = std::move(status);
}

void TestOutput::FailOpening(absl::Status status) {
  absl::MutexLock lock(&mutex_);
  open_failure_ = std::move(status);
}

void TestOutput::WakeAt(int64_t batch_time_us) {
  absl::MutexLock lock(&mutex_);
  wake_at_us_ = batch_time_us;
}

void TestOutput::WakeOneAt(const std::string& session, int64_t batch_time_us) {
  absl::MutexLock lock(&mutex_);
  wakes_[session] = batch_time_us;
}

void TestOutput::OnCommit(std::function<void()> callback) {
  absl::MutexLock lock(&mutex_);
  on_commit_ = std::move(callback);
}

std::unique_ptr<ConnectorRegistry> TestConnectors(TestTopic* topic, TestOutput* output,
                                                  AccessPolicy access) {
  auto registry = std::make_unique<ConnectorRegistry>(std::move(access));
  registry->AddSource("test", std::make_unique<TestSourceConnector>(topic));
  registry->AddSink("test", std::make_unique<TestSinkConnector>(output, /*gathered=*/false));
  registry->AddSink("test-print", std::make_unique<TestSinkConnector>(output, /*gathered=*/true));
  registry->AddSink("test-shared", NewSharedTestSink(output));
  return registry;
}

}  // namespace millrace::executor
