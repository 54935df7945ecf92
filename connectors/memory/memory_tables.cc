#include "connectors/memory/memory_tables.h"

#include <algorithm>
#include <numeric>
#include <utility>

namespace millrace::memory {

void MemoryTable::Append(uint32_t partition, const Batch& rows) {
  std::vector<std::function<void()>> listeners;
  {
    absl::MutexLock lock(&mutex_);
    if (partition >= partitions_.size()) {
      partitions_.resize(partition + 1);
    }
    Batch compact = rows.Compact();
    auto count = static_cast<int64_t>(compact.physical_rows());
    if (count == 0) {
      return;
    }
    Partition& target = partitions_[partition];
    target.segments.push_back({target.end, std::move(compact)});
    target.end += count;
    changed_.SignalAll();
    for (const auto& [id, listener] : listeners_) {
      listeners.push_back(listener);
    }
  }
  for (const auto& listener : listeners) {
    listener();
  }
}

void MemoryTable::SetPartitions(uint32_t partitions) {
  absl::MutexLock lock(&mutex_);
  partitions_.resize(std::max<size_t>(partitions_.size(), partitions));
}

uint32_t MemoryTable::partitions() const {
  absl::MutexLock lock(&mutex_);
  return static_cast<uint32_t>(partitions_.size());
}

int64_t MemoryTable::RowCount(uint32_t partition) const {
  absl::MutexLock lock(&mutex_);
  return partition < partitions_.size() ? partitions_[partition].end : 0;
}

bool MemoryTable::HasRow(uint32_t partition, int64_t row) const {
  return partition < partitions_.size() && row < partitions_[partition].end;
}

bool MemoryTable::Read(uint32_t partition, int64_t begin, size_t max_rows, absl::Time deadline,
                       Batch* rows) const {
  absl::MutexLock lock(&mutex_);
  while (!HasRow(partition, begin)) {
    if (changed_.WaitUntil(&mutex_, deadline) && !HasRow(partition, begin)) {
      return false;
    }
  }
  const std::vector<Segment>& segments = partitions_[partition].segments;
  auto segment = std::upper_bound(segments.begin(), segments.end(), begin,
                                  [](int64_t row, const Segment& one) { return row < one.begin; });
  --segment;
  auto first = static_cast<size_t>(begin - segment->begin);
  std::vector<uint32_t> picked(std::min(max_rows, segment->rows.physical_rows() - first));
  std::iota(picked.begin(), picked.end(), static_cast<uint32_t>(first));
  *rows = segment->rows.TakeRows(picked.data(), picked.size());
  return true;
}

std::shared_ptr<void> MemoryTable::OnAppend(std::function<void()> fn) {
  absl::MutexLock lock(&mutex_);
  int64_t id = next_listener_++;
  listeners_[id] = std::move(fn);
  return std::shared_ptr<void>(nullptr, [this, id](void*) {
    absl::MutexLock lock(&mutex_);
    listeners_.erase(id);
  });
}

void MemoryTable::Commit(Committed committed) {
  absl::MutexLock lock(&mutex_);
  committed_.push_back(std::move(committed));
  changed_.SignalAll();
}

std::vector<MemoryTable::Committed> MemoryTable::committed() const {
  absl::MutexLock lock(&mutex_);
  return committed_;
}

bool MemoryTable::WaitForCommitted(const std::function<bool(const std::vector<Committed>&)>& enough,
                                   absl::Time deadline) const {
  absl::MutexLock lock(&mutex_);
  while (!enough(committed_)) {
    if (changed_.WaitUntil(&mutex_, deadline)) {
      return enough(committed_);
    }
  }
  return true;
}

MemoryTables& MemoryTables::Global() {
  static MemoryTables& tables = *new MemoryTables();
  return tables;
}

std::shared_ptr<MemoryTable> MemoryTables::Table(std::string_view name) {
  absl::MutexLock lock(&mutex_);
  auto found = tables_.find(name);
  if (found == tables_.end()) {
    found = tables_.emplace(std::string(name), std::make_shared<MemoryTable>()).first;
  }
  return found->second;
}

void MemoryTables::Drop(std::string_view name) {
  absl::MutexLock lock(&mutex_);
  auto found = tables_.find(name);
  if (found != tables_.end()) {
    tables_.erase(found);
  }
}

}  // namespace millrace::memory
