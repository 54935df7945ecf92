#include "executor/epoch/sink_set.h"

#include <algorithm>
#include <utility>
#include <variant>

#include "absl/strings/str_cat.h"
#include "common/base/status.h"

namespace millrace::executor {

absl::Status ShardWriter::Write(const SinkBatch& batch, const Batch& rows, RowErrors* refused) {
  absl::MutexLock lock(&mutex_);
  const absl::Status status = shard_->Write(batch, rows);
  if (status.ok()) {
    return status;
  }
  const std::vector<RowError> errors = shard_->TakeRefused();
  if (errors.empty()) {
    return Annotate(status, name_);
  }
  for (const RowError& error : errors) {
    refused->Add(error.row, Annotate(error.status, name_));
  }
  return absl::OkStatus();
}

SinkSet::SinkSet(const EpochLayout* layout, const ConnectorRegistry* connectors,
                 HeldMemory* held_memory, std::function<bool()> ended)
    : layout_(*layout),
      connectors_(*connectors),
      job_memory_(std::make_shared<HeldMemory>(held_memory)),
      ended_(std::move(ended)),
      markers_(layout->markers) {}

absl::Status SinkSet::Init() {
  for (const proto::Sink& table : layout_.plan.sinks()) {
    ASSIGN_OR_RETURN(const SinkConnector* connector, connectors_.Sink(table.connector()));
    const bool shares = connector->traits().scope == SinkTraits::Scope::kExecutor;
    if (shares != shared(static_cast<uint32_t>(connectors_of_sink_.size()))) {
      return absl::InvalidArgumentError(absl::StrCat(
          "table ", table.table(), ": the driver, of another version perhaps, does not agree that ",
          "connector ", table.connector(), shares ? " shares" : " does not share", " sessions"));
    }
    connectors_of_sink_.push_back(connector);
  }
  return absl::OkStatus();
}

std::vector<ShardPlace> SinkSet::OwnShards() const {
  std::vector<ShardPlace> own;
  for (uint32_t sink = 0; sink < connectors_of_sink_.size(); ++sink) {
    if (!layout_.keyed_sink[sink] || gathered(sink)) {
      continue;
    }
    for (const uint32_t shard : layout_.own_shards) {
      own.push_back({.sink = sink, .shard = shard});
    }
  }
  for (const proto::PartitionStart& partition : layout_.own_partitions) {
    const std::vector<ShardPlace> of_partition = ShardsOf(partition);
    own.insert(own.end(), of_partition.begin(), of_partition.end());
  }
  return own;
}

std::vector<ShardPlace> SinkSet::ShardsOf(const proto::PartitionStart& partition) const {
  std::vector<ShardPlace> shards;
  for (uint32_t sink = 0; sink < connectors_of_sink_.size(); ++sink) {
    const std::vector<uint32_t>& sources = layout_.sources_of_sink[sink];
    if (!gathered(sink) &&
        std::find(sources.begin(), sources.end(), partition.key().source()) != sources.end()) {
      shards.push_back({.sink = sink, .shard = partition.ordinal()});
    }
  }
  return shards;
}

void SinkSet::NoteMarkers(const google::protobuf::RepeatedPtrField<proto::SinkMarker>& markers) {
  absl::MutexLock lock(&mutex_);
  for (const proto::SinkMarker& marker : markers) {
    markers_[ShardPlace{marker.sink(), marker.shard()}] = marker.marker();
  }
}

std::string SinkSet::Name(ShardPlace shard) const {
  return absl::StrCat("table ", Table(shard.sink).table(), ", shard ", shard.shard);
}

std::string SinkSet::Name(SlotPlace slot) const {
  const auto group = layout_.groups.find(slot.group);
  const size_t others = layout_.IsOwn(slot) ? group->second.size() - 1 : 0;
  return absl::StrCat("table ", Table(slot.group).table(),
                      others == 0 ? "" : absl::StrCat(" and ", others, " more"), ", slot ",
                      slot.slot);
}

SessionPlace SinkSet::PlaceOf(ShardPlace shard) const {
  const std::optional<uint32_t>& group = layout_.group_of_sink[shard.sink];
  return group.has_value() ? SessionPlace(SlotPlace{.group = *group, .slot = layout_.self})
                           : SessionPlace(shard);
}

SinkContext SinkSet::ContextOf(const SessionPlace& place) const {
  SinkContext context;
  context.job_name = layout_.job_name;
  context.incarnation = layout_.incarnation.value();
  context.epoch = layout_.epoch;
  context.committed_batch = layout_.committed_batch;
  context.planned_batch = layout_.planned_batch;
  context.batch_time_us = layout_.batch_time_us;
  context.memory = job_memory_;
  context.ended = ended_;
  if (const auto* shard = std::get_if<ShardPlace>(&place)) {
    context.sink = shard->sink;
    context.shard = shard->shard;
  } else {
    context.sink = std::get<SlotPlace>(place).group;
    context.slot = std::get<SlotPlace>(place).slot;
  }
  absl::ReaderMutexLock lock(&mutex_);
  if (const auto marker = markers_.find(place); marker != markers_.end()) {
    context.marker = marker->second;
  }
  return context;
}

absl::StatusOr<std::unique_ptr<OpenSession>> SinkSet::Open(const SessionPlace& place) const {
  const SinkContext context = ContextOf(place);
  std::string name = std::visit([this](const auto& of_kind) { return Name(of_kind); }, place);
  std::vector<uint32_t> sinks;
  if (const auto* slot = std::get_if<SlotPlace>(&place); slot == nullptr) {
    sinks = {context.sink};
  } else if (layout_.IsOwn(*slot)) {
    sinks = layout_.groups.at(slot->group);
  }
  std::vector<SinkTable> tables;
  for (const uint32_t sink : sinks) {
    tables.push_back({.index = sink, .table = &Table(sink)});
  }
  if (tables.empty()) {
    tables.push_back({.index = context.sink, .table = &Table(context.sink)});
  }
  absl::StatusOr<std::unique_ptr<SinkSession>> session =
      connectors_of_sink_[context.sink]->Open(tables, context);
  if (!session.ok()) {
    return Annotate(session.status(), name);
  }
  return std::make_unique<OpenSession>(place, std::move(sinks), layout_.error_sink[context.sink],
                                       std::move(name), *std::move(session));
}

absl::StatusOr<BatchId> SinkSet::ClaimFormer(ShardPlace shard) const {
  absl::StatusOr<BatchId> committed =
      connectors_of_sink_[shard.sink]->ClaimFormerShard(Table(shard.sink), ContextOf(shard));
  return committed.ok() ? committed : Annotate(committed.status(), Name(shard));
}

void SinkSet::AddSession(std::unique_ptr<OpenSession> session) {
  const SessionPlace place = session->place();
  absl::MutexLock lock(&mutex_);
  sessions_[place] = std::move(session);
}

absl::Status SinkSet::AddWriter(ShardPlace shard) {
  OpenSession* session = nullptr;
  {
    absl::ReaderMutexLock lock(&mutex_);
    session = sessions_.at(PlaceOf(shard)).get();
  }
  ASSIGN_OR_RETURN(SinkShard* const target, session->AddShard(shard));
  absl::MutexLock lock(&mutex_);
  writers_[shard] = std::make_unique<ShardWriter>(session, target, Name(shard));
  return absl::OkStatus();
}

ShardWriter* SinkSet::Find(ShardPlace shard) const {
  absl::ReaderMutexLock lock(&mutex_);
  const auto writer = writers_.find(shard);
  return writer == writers_.end() ? nullptr : writer->second.get();
}

std::vector<OpenSession*> SinkSet::Sessions() const {
  std::vector<OpenSession*> all;
  absl::ReaderMutexLock lock(&mutex_);
  all.reserve(sessions_.size());
  for (const auto& [place, session] : sessions_) {
    all.push_back(session.get());
  }
  return all;
}

int64_t SinkSet::held_bytes() const {
  int64_t bytes = 0;
  for (const OpenSession* session : Sessions()) {
    bytes += session->held_bytes();
  }
  return bytes;
}

int64_t SinkSet::held_bytes_of(BatchId batch) const {
  int64_t bytes = 0;
  for (const OpenSession* session : Sessions()) {
    bytes += session->held_bytes_of(batch);
  }
  return bytes;
}

int64_t SinkSet::WakeAfter(int64_t batch_time_us) const {
  int64_t least = 0;
  for (const OpenSession* session : Sessions()) {
    least = EarlierWake(least, LaterWake(session->wake_at_us(), batch_time_us));
  }
  return least;
}

}  // namespace millrace::executor
