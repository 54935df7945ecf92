#include "connectors/kafka/sink/held_batches.h"

#include <iterator>

namespace millrace::kafka {

void HeldBatches::Add(HeldRows rows) {
  absl::MutexLock lock(&mutex_);
  const int64_t bytes = rows.memory.bytes();
  bytes_ += bytes;
  Held& batch = batches_[rows.batch];
  batch.bytes += bytes;
  const auto [found, added] =
      batch.shards.try_emplace({rows.table, rows.shard}, std::move(rows));  // moves only if added
  if (added) {
    return;
  }
  HeldRows& held = found->second;
  held.memory.Join(std::move(rows.memory));
  std::move(rows.records.begin(), rows.records.end(), std::back_inserter(held.records));
  std::move(rows.owners.begin(), rows.owners.end(), std::back_inserter(held.owners));
}

BatchId HeldBatches::first() const {
  absl::MutexLock lock(&mutex_);
  return batches_.empty() ? BatchId() : batches_.begin()->first;
}

std::vector<HeldRows> HeldBatches::TakeRows(BatchId batch) {
  std::vector<HeldRows> taken;
  absl::MutexLock lock(&mutex_);
  const auto held = batches_.find(batch);
  if (held == batches_.end()) {
    return taken;
  }
  for (auto& [shard, rows] : held->second.shards) {
    taken.push_back(std::move(rows));
  }
  held->second.shards.clear();
  bytes_ -= held->second.bytes;
  held->second.left_bytes += std::exchange(held->second.bytes, 0);
  return taken;
}

void HeldBatches::NoteLeft(BatchId batch, int64_t bytes) {
  absl::MutexLock lock(&mutex_);
  batches_[batch].left_bytes += bytes;
}

std::vector<const HeldRows*> HeldBatches::Upto(BatchId through) const {
  absl::MutexLock lock(&mutex_);
  std::vector<const HeldRows*> out;
  for (auto batch = batches_.begin(); batch != batches_.end() && batch->first <= through; ++batch) {
    for (const auto& [shard, rows] : batch->second.shards) {
      out.push_back(&rows);
    }
  }
  return out;
}

void HeldBatches::DropUpto(BatchId through) {
  std::vector<Held> dropped;  // freed after the lock is released
  absl::MutexLock lock(&mutex_);
  while (!batches_.empty() && batches_.begin()->first <= through) {
    bytes_ -= batches_.begin()->second.bytes;
    dropped.push_back(std::move(batches_.begin()->second));
    batches_.erase(batches_.begin());
  }
}

int64_t HeldBatches::bytes() const {
  absl::MutexLock lock(&mutex_);
  return bytes_;
}

int64_t HeldBatches::bytes_of(BatchId batch) const {
  absl::MutexLock lock(&mutex_);
  const auto held = batches_.find(batch);
  return held == batches_.end() ? 0 : held->second.bytes + held->second.left_bytes;
}

}  // namespace millrace::kafka
