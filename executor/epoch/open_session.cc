#include "executor/epoch/open_session.h"

#include "common/base/status.h"

namespace millrace::executor {

absl::StatusOr<SinkShard*> OpenSession::AddShard(ShardPlace shard) {
  absl::StatusOr<SinkShard*> added = session_->AddShard(shard.sink, shard.shard);
  return added.ok() ? added : Annotate(added.status(), name_);
}

absl::Status OpenSession::Prepare(BatchId batch, absl::Time deadline) {
  return Annotate(session_->Prepare(batch, deadline), name_);
}

absl::Status OpenSession::Commit(BatchId through, absl::Time deadline) {
  return Annotate(session_->Commit(through, deadline), name_);
}

absl::Status OpenSession::Settle(BatchId batch, absl::Time deadline) {
  return Annotate(session_->Settle(batch, deadline), name_);
}

void OpenSession::ReportClaim(proto::EpochReady* ready) const {
  if (std::holds_alternative<ShardPlace>(place_)) {
    *ready->add_markers() = ShardMarker();
    return;
  }
  proto::SessionMark* mark = ready->add_sessions();
  *mark = SlotMark();
  for (const uint32_t sink : sinks_) {
    proto::SinkTerms* terms = mark->add_terms();
    terms->set_sink(sink);
    terms->set_terms(session_->Terms(sink));
  }
}

void OpenSession::ReportCommit(proto::BatchCommitted* committed) const {
  if (std::holds_alternative<ShardPlace>(place_)) {
    *committed->add_markers() = ShardMarker();
  } else {
    *committed->add_sessions() = SlotMark();
  }
}

proto::SinkMarker OpenSession::ShardMarker() const {
  const ShardPlace& shard = std::get<ShardPlace>(place_);
  SinkMark mark = session_->mark();
  proto::SinkMarker marker;
  marker.set_sink(shard.sink);
  marker.set_shard(shard.shard);
  marker.set_marker(std::move(mark.marker));
  marker.set_batch(mark.batch.value());
  marker.set_hides_rows(session_->hides_rows());
  return marker;
}

proto::SessionMark OpenSession::SlotMark() const {
  const SlotPlace& slot = std::get<SlotPlace>(place_);
  SinkMark found = session_->mark();
  proto::SessionMark mark;
  mark.set_group(slot.group);
  mark.set_slot(slot.slot);
  mark.set_written_epoch(found.written.value());
  mark.set_batch(found.batch.value());
  mark.set_marker(std::move(found.marker));
  return mark;
}

}  // namespace millrace::executor
