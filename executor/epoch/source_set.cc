#include "executor/epoch/source_set.h"

#include "absl/strings/str_cat.h"
#include "common/base/status.h"

namespace millrace::executor {

SourceSet::SourceSet(const EpochLayout* layout, const ConnectorRegistry* connectors,
                     MemoryBudget* memory)
    : layout_(*layout), connectors_(*connectors), memory_(memory) {}

SourceSet::~SourceSet() {
  readers_.clear();
  for (const int64_t share : shares_) {
    memory_->Return(share);
  }
}

absl::Status SourceSet::Open(std::function<void()> on_progress) {
  for (const proto::Source& source : layout_.plan.sources()) {
    ASSIGN_OR_RETURN(const SourceConnector* connector, connectors_.Source(source.connector()));
    SourceContext context;
    context.job_name = layout_.job_name;
    context.incarnation = layout_.incarnation.value();
    context.prefetch_bytes = memory_->Take();
    context.read_uncommitted = layout_.settings.ReadsUncommitted();
    context.on_progress = on_progress;
    shares_.push_back(context.prefetch_bytes);
    absl::StatusOr<std::unique_ptr<SourceReader>> reader = connector->CreateReader(source, context);
    if (!reader.ok()) {
      return Annotate(reader.status(), absl::StrCat("table ", source.table()));
    }
    readers_.push_back(*std::move(reader));
  }
  for (const proto::PartitionStart& start : layout_.own_partitions) {
    if (!start.sinks_only()) {
      RETURN_IF_ERROR(Assign(start));
    }
  }
  return absl::OkStatus();
}

absl::Status SourceSet::Assign(const proto::PartitionStart& start) {
  const uint32_t source = start.key().source();
  if (source >= readers_.size()) {
    return absl::InvalidArgumentError(
        absl::StrCat("partition ", start.key().partition(), " has no source"));
  }
  {
    absl::MutexLock lock(&mutex_);
    positions_[{source, start.key().partition()}] = start.offset();
  }
  const absl::Status status = readers_[source]->Assign({.name = start.key().partition(),
                                                        .next = Offset(start.offset()),
                                                        .identity = start.topic_id()});
  return Annotate(status,
                  absl::StrCat("table ", layout_.plan.sources(static_cast<int>(source)).table()));
}

void SourceSet::Unassign(const proto::PartitionKey& partition) {
  if (partition.source() >= readers_.size()) {
    return;
  }
  readers_[partition.source()]->Unassign(partition.partition());
  absl::MutexLock lock(&mutex_);
  positions_.erase({partition.source(), partition.partition()});
  reported_.erase({partition.source(), partition.partition()});
}

absl::Status SourceSet::CheckBegin(const proto::Split& split) const {
  absl::MutexLock lock(&mutex_);
  auto position = positions_.find({split.key().source(), split.key().partition()});
  if (position == positions_.end()) {
    return absl::InternalError(
        absl::StrCat("a split of ", split.key().partition(), ", which is not assigned here"));
  }
  if (position->second != split.begin()) {
    return absl::InternalError(absl::StrCat("a split of ", split.key().partition(),
                                            " begins at offset ", split.begin(),
                                            ", but reading stands at ", position->second));
  }
  return absl::OkStatus();
}

void SourceSet::SetPosition(const proto::Split& split) {
  absl::MutexLock lock(&mutex_);
  positions_[{split.key().source(), split.key().partition()}] = split.end();
}

std::vector<proto::SourceProgress::Partition> SourceSet::TakeProgress() {
  std::vector<proto::SourceProgress::Partition> changed;
  for (uint32_t source = 0; source < readers_.size(); ++source) {
    for (PartitionOffset& partition : readers_[source]->FetchedTo()) {
      {
        absl::MutexLock lock(&mutex_);
        auto [reported, first] = reported_.try_emplace({source, partition.partition}, INT64_MIN);
        if (reported->second == partition.offset.value()) {
          continue;
        }
        reported->second = partition.offset.value();
      }
      proto::SourceProgress::Partition& out = changed.emplace_back();
      out.set_bytes_per_offset(readers_[source]->BytesPerOffset(partition.partition));
      out.mutable_key()->set_source(source);
      out.mutable_key()->set_partition(std::move(partition.partition));
      out.set_fetched_to(partition.offset.value());
    }
  }
  return changed;
}

void SourceSet::ForgetReported() {
  absl::MutexLock lock(&mutex_);
  reported_.clear();
}

}  // namespace millrace::executor
