#include "connectors/kafka/sink/held_batches.h"

#include <iterator>
#include <utility>

namespace millrace::kafka {

void HeldBatches::Add(BatchId batch, int64_t time_us, KafkaRecordEncoder::Encoded encoded,
                      HeldBytes memory) {
  absl::MutexLock lock(&mutex_);
  HeldBatch& held = batches_[batch];
  held.batch = batch;
  held.time_us = time_us;
  bytes_ += memory.bytes();
  held.memory.Join(std::move(memory));
  if (held.records.empty()) {
    held.records = std::move(encoded.records);
    held.owners = std::move(encoded.owners);
    return;
  }
  std::move(encoded.records.begin(), encoded.records.end(), std::back_inserter(held.records));
  std::move(encoded.owners.begin(), encoded.owners.end(), std::back_inserter(held.owners));
}

BatchId HeldBatches::first() const {
  absl::MutexLock lock(&mutex_);
  return batches_.empty() ? BatchId() : batches_.begin()->first;
}

HeldBatch HeldBatches::TakeRows(BatchId batch) {
  absl::MutexLock lock(&mutex_);
  const auto held = batches_.find(batch);
  if (held == batches_.end()) {
    return {};
  }
  HeldBatch taken{.batch = batch, .time_us = held->second.time_us};
  taken.memory = std::exchange(held->second.memory, {});
  taken.records = std::exchange(held->second.records, {});
  taken.owners = std::exchange(held->second.owners, {});
  bytes_ -= taken.memory.bytes();
  return taken;
}

void HeldBatches::NoteLeft(BatchId batch, int64_t bytes) {
  absl::MutexLock lock(&mutex_);
  HeldBatch& held = batches_[batch];
  held.batch = batch;
  held.left_bytes += bytes;
}

std::vector<const HeldBatch*> HeldBatches::Upto(BatchId through) const {
  absl::MutexLock lock(&mutex_);
  std::vector<const HeldBatch*> out;
  for (auto it = batches_.begin(); it != batches_.end() && it->first <= through; ++it) {
    if (!it->second.records.empty()) {
      out.push_back(&it->second);
    }
  }
  return out;
}

void HeldBatches::DropUpto(BatchId through) {
  std::vector<HeldBatch> dropped;  // freed after the lock is released
  absl::MutexLock lock(&mutex_);
  while (!batches_.empty() && batches_.begin()->first <= through) {
    bytes_ -= batches_.begin()->second.memory.bytes();
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
  return held == batches_.end() ? 0 : held->second.memory.bytes() + held->second.left_bytes;
}

}  // namespace millrace::kafka
