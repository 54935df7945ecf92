#include "executor/epoch/sink_set.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/status.h"

namespace millrace::executor {

absl::Status ShardWriter::Write(BatchId batch, int64_t batch_time_us, const Batch& rows,
                                RowErrors* refused, bool* first) {
  absl::MutexLock lock(&mutex_);
  const absl::Status status = writer_->Write(batch, batch_time_us, rows);
  if (!status.ok()) {
    const std::vector<RowError> errors = writer_->TakeRefused();
    if (errors.empty()) {
      return Annotate(status, name_);
    }
    for (const RowError& error : errors) {
      refused->Add(error.row, Annotate(error.status, name_));
    }
  }
  *first = last_written_ != batch;
  if (*first && !status.ok()) {
    writer_->NoteBatch(batch, batch_time_us);  // perhaps no row of it follows
  }
  last_written_ = batch;
  return absl::OkStatus();
}

absl::Status ShardWriter::Prepare(BatchId batch, absl::Time deadline) {
  return Annotate(writer_->Prepare(batch, deadline), name_);
}

absl::StatusOr<std::string> ShardWriter::Commit(BatchId through, absl::Time deadline) {
  absl::StatusOr<std::string> marker = writer_->Commit(through, deadline);
  return marker.ok() ? std::move(marker) : Annotate(marker.status(), name_);
}

absl::Status ShardWriter::Settle(BatchId batch, absl::Time deadline) {
  return Annotate(writer_->Settle(batch, deadline), name_);
}

proto::SinkMarker ShardWriter::Marker(std::string marker) const {
  proto::SinkMarker result;
  result.set_sink(sink_);
  result.set_shard(shard_);
  result.set_marker(std::move(marker));
  result.set_batch(writer_->committed().value());
  result.set_hides_rows(writer_->hides_rows());
  return result;
}

SinkSet::SinkSet(const EpochLayout* layout, const ConnectorRegistry* connectors,
                 HeldMemory* held_memory, std::function<bool()> ended)
    : layout_(*layout),
      connectors_(*connectors),
      job_memory_(std::make_shared<HeldMemory>(held_memory)),
      ended_(std::move(ended)),
      markers_(layout->markers) {}

absl::Status SinkSet::Init() {
  for (const proto::Sink& sink : layout_.plan.sinks()) {
    ASSIGN_OR_RETURN(const SinkConnector* connector, connectors_.Sink(sink.connector()));
    connectors_of_sink_.push_back(connector);
  }
  return absl::OkStatus();
}

std::vector<std::pair<uint32_t, uint32_t>> SinkSet::WritersToOpen() const {
  std::vector<std::pair<uint32_t, uint32_t>> wanted;
  for (uint32_t sink = 0; sink < connectors_of_sink_.size(); ++sink) {
    if (!layout_.keyed_sink[sink] || gathered(sink)) {
      continue;
    }
    for (const uint32_t shard : layout_.own_shards) {
      wanted.emplace_back(sink, shard);
    }
  }
  for (const proto::PartitionStart& partition : layout_.own_partitions) {
    const auto of_partition = WritersFor(partition);
    wanted.insert(wanted.end(), of_partition.begin(), of_partition.end());
  }
  return wanted;
}

std::vector<std::pair<uint32_t, uint32_t>> SinkSet::WritersFor(
    const proto::PartitionStart& partition) const {
  std::vector<std::pair<uint32_t, uint32_t>> wanted;
  for (uint32_t sink = 0; sink < connectors_of_sink_.size(); ++sink) {
    const std::vector<uint32_t>& sources = layout_.sources_of_sink[sink];
    if (!gathered(sink) &&
        std::find(sources.begin(), sources.end(), partition.key().source()) != sources.end()) {
      wanted.emplace_back(sink, partition.ordinal());
    }
  }
  return wanted;
}

void SinkSet::NoteMarkers(const google::protobuf::RepeatedPtrField<proto::SinkMarker>& markers) {
  absl::MutexLock lock(&mutex_);
  for (const proto::SinkMarker& marker : markers) {
    markers_[{marker.sink(), marker.shard()}] = marker.marker();
  }
}

std::string SinkSet::MarkerBefore(uint32_t sink, uint32_t shard) const {
  absl::ReaderMutexLock lock(&mutex_);
  const auto marker = markers_.find({sink, shard});
  return marker == markers_.end() ? "" : marker->second;
}

absl::StatusOr<std::unique_ptr<ShardWriter>> SinkSet::OpenWriter(uint32_t sink,
                                                                 uint32_t shard) const {
  const proto::Sink& table = layout_.plan.sinks(static_cast<int>(sink));
  SinkContext context;
  context.job_name = layout_.job_name;
  context.incarnation = layout_.incarnation.value();
  context.epoch = layout_.epoch;
  context.sink = sink;
  context.shard = shard;
  context.marker = MarkerBefore(sink, shard);
  context.committed_batch = layout_.committed_batch;
  context.planned_batch = layout_.planned_batch;
  context.batch_time_us = layout_.batch_time_us;
  context.memory = job_memory_;
  context.ended = ended_;
  std::string name = absl::StrCat("table ", table.table(), ", shard ", shard);
  absl::StatusOr<std::unique_ptr<SinkWriter>> writer =
      connectors_of_sink_[sink]->CreateWriter(table, context);
  if (!writer.ok()) {
    return Annotate(writer.status(), name);
  }
  return std::make_unique<ShardWriter>(sink, shard, layout_.error_sink[sink], std::move(name),
                                       *std::move(writer));
}

void SinkSet::AddWriter(std::unique_ptr<ShardWriter> writer) {
  const std::pair<uint32_t, uint32_t> key(writer->sink(), writer->shard());
  absl::MutexLock lock(&mutex_);
  writers_[key] = std::move(writer);
}

std::vector<ShardWriter*> SinkSet::All() const {
  std::vector<ShardWriter*> all;
  absl::ReaderMutexLock lock(&mutex_);
  all.reserve(writers_.size());
  for (const auto& [key, writer] : writers_) {
    all.push_back(writer.get());
  }
  return all;
}

std::vector<proto::SinkMarker> SinkSet::ClaimedMarkers() const {
  std::vector<proto::SinkMarker> markers;
  for (const ShardWriter* writer : All()) {
    markers.push_back(writer->ClaimedMarker());
  }
  return markers;
}

int64_t SinkSet::held_bytes() const {
  int64_t bytes = 0;
  for (const ShardWriter* writer : All()) {
    bytes += writer->held_bytes();
  }
  return bytes;
}

int64_t SinkSet::held_bytes_of(BatchId batch) const {
  int64_t bytes = 0;
  for (const ShardWriter* writer : All()) {
    bytes += writer->held_bytes_of(batch);
  }
  return bytes;
}

int64_t SinkSet::WakeAfter(int64_t batch_time_us) const {
  int64_t least = 0;
  for (const ShardWriter* writer : All()) {
    least = EarlierWake(least, LaterWake(writer->wake_at_us(), batch_time_us));
  }
  return least;
}

ShardWriter* SinkSet::Find(uint32_t sink, uint32_t shard) const {
  absl::ReaderMutexLock lock(&mutex_);
  const auto writer = writers_.find({sink, shard});
  return writer == writers_.end() ? nullptr : writer->second.get();
}

}  // namespace millrace::executor
