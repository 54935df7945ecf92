#include "executor/epoch/shard_deliveries.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/status.h"

namespace millrace::executor {

ShardDeliveries::ShardDeliveries(const EpochLayout* layout, TaskHost* host, Shards shards)
    : layout_(*layout), host_(host), shards_(std::move(shards)) {
  for (uint32_t member = 0; member < layout_.members.size(); ++member) {
    member_index_.emplace(layout_.members[member].executor_id, member);
  }
}

void ShardDeliveries::BeginBatch(std::shared_ptr<BatchRun> run) {
  absl::MutexLock lock(&mutex_);
  run_ = std::move(run);
  std::deque<ShuffleDelivery> early;
  early.swap(early_);
  for (ShuffleDelivery& delivery : early) {
    Accept(std::move(delivery));
  }
}

void ShardDeliveries::OnDelivery(ShuffleDelivery delivery) {
  absl::MutexLock lock(&mutex_);
  Accept(std::move(delivery));
}

void ShardDeliveries::Accept(ShuffleDelivery delivery) {
  const std::shared_ptr<BatchRun> run = run_;
  const BatchId next = run == nullptr ? layout_.first_batch : run->batch().Next();
  if (delivery.batch > next) {
    // No member may begin a batch before every member has prepared the one before.
    host_->Fail(BatchId(), absl::AbortedError(absl::StrCat(
                               "rows of batch ", delivery.batch.value(), " from executor ",
                               delivery.sender_id, " before batch ", next.value(), " has begun")));
    return;
  }
  if (run == nullptr || delivery.batch > run->batch()) {
    early_.push_back(std::move(delivery));
    return;
  }
  const std::optional<uint32_t> sender = MemberIndex(delivery.sender_id);
  if (sender.has_value() && delivery.batch < run->batch() && delivery.blocks.empty() &&
      layout_.own_shards.empty()) {
    return;  // without shards, this member ends a batch before the others have ended the exchange
  }
  if (!sender.has_value() || delivery.batch < run->batch()) {
    host_->Fail(run->batch(), absl::InternalError(
                                  absl::StrCat("unexpected rows of batch ", delivery.batch.value(),
                                               " from executor ", delivery.sender_id)));
    return;
  }
  const absl::Status taken = Take(run, *sender, std::move(delivery));
  if (!taken.ok()) {
    host_->Fail(run->batch(), taken);
  }
}

absl::Status ShardDeliveries::Take(const std::shared_ptr<BatchRun>& run, uint32_t sender,
                                   ShuffleDelivery delivery) {
  const auto not_here = [&](const char* what, uint32_t number) {
    return absl::AbortedError(absl::StrCat(
        "rows for ", what, " ", number, ", which is not here, from executor ", delivery.sender_id));
  };
  for (ShuffleBlock& block : delivery.blocks) {
    if (block.exchange >= layout_.exchanges.size()) {
      return not_here("exchange", block.exchange);
    }
    if (block.shard >= layout_.shard_count() || layout_.shard_owner[block.shard] != layout_.self) {
      return not_here("shard", block.shard);
    }
    RETURN_IF_ERROR(run->CountReceived(block.exchange, sender));
    block.sender_id = delivery.sender_id;
    DeliverLocal(std::move(block));
  }
  for (const ShuffleEnd& end : delivery.ends) {
    if (end.exchange >= layout_.exchanges.size()) {
      return not_here("exchange", end.exchange);
    }
    MemberEnded(run, end.exchange, sender, end.blocks);
  }
  return absl::OkStatus();
}

void ShardDeliveries::DeliverLocal(ShuffleBlock block) {
  const std::vector<uint32_t>& readers = layout_.exchanges[block.exchange].readers;
  for (size_t i = 0; i + 1 < readers.size(); ++i) {
    ShuffleBlock copy{.exchange = block.exchange, .shard = block.shard, .runs = block.runs};
    copy.sender_id = block.sender_id;
    copy.rows = block.rows;
    copy.encoded = block.encoded;
    shards_[readers[i]][block.shard]->Deliver(std::move(copy));
  }
  if (!readers.empty()) {
    shards_[readers.back()][block.shard]->Deliver(std::move(block));
  }
}

void ShardDeliveries::EndLocal(const std::shared_ptr<BatchRun>& run, uint32_t exchange) {
  MemberEnded(run, exchange, layout_.self, 0);
}

void ShardDeliveries::MemberEnded(const std::shared_ptr<BatchRun>& run, uint32_t exchange,
                                  uint32_t member, uint64_t blocks) {
  const absl::StatusOr<bool> last = run->MemberEnded(exchange, member, blocks);
  if (!last.ok()) {
    host_->Fail(run->batch(), last.status());
    return;
  }
  if (!*last) {
    return;
  }
  for (const uint32_t stage : layout_.exchanges[exchange].readers) {
    for (const uint32_t shard : layout_.own_shards) {
      shards_[stage][shard]->EndInput();
    }
  }
}

std::optional<uint32_t> ShardDeliveries::MemberIndex(const std::string& executor_id) const {
  const auto member = member_index_.find(executor_id);
  return member == member_index_.end() ? std::nullopt : std::optional(member->second);
}

}  // namespace millrace::executor
