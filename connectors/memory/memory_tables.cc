#include "connectors/memory/memory_tables.h"

#include <algorithm>
#include <numeric>
#include <utility>

namespace millrace {
namespace {

// Waits until `done` returns true, or until `deadline`, which may be infinite. Returns what it last
// returned.
template <typename Done>
bool WaitUntil(std::condition_variable* changed, std::unique_lock<std::mutex>* lock,
               absl::Time deadline, Done&& done) {
  if (deadline == absl::InfiniteFuture()) {
    changed->wait(*lock, done);
    return true;
  }
  return changed->wait_until(*lock, absl::ToChronoTime(deadline), done);
}

}  // namespace

void MemoryTable::Append(uint32_t partition, const Batch& rows) {
  std::vector<std::function<void()>> listeners;
  {
    std::lock_guard<std::mutex> lock(mutex_);
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
    changed_.notify_all();
    for (const auto& [id, listener] : listeners_) {
      listeners.push_back(listener);
    }
  }
  for (const auto& listener : listeners) {
    listener();
  }
}

void MemoryTable::SetPartitions(uint32_t partitions) {
  std::lock_guard<std::mutex> lock(mutex_);
  partitions_.resize(std::max<size_t>(partitions_.size(), partitions));
}

uint32_t MemoryTable::partitions() const {
  std::lock_guard<std::mutex> lock(mutex_);
  return static_cast<uint32_t>(partitions_.size());
}

int64_t MemoryTable::RowCount(uint32_t partition) const {
  std::lock_guard<std::mutex> lock(mutex_);
  return partition < partitions_.size() ? partitions_[partition].end : 0;
}

bool MemoryTable::HasRow(uint32_t partition, int64_t row) const {
  return partition < partitions_.size() && row < partitions_[partition].end;
}

bool MemoryTable::Read(uint32_t partition, int64_t begin, size_t max_rows, absl::Time deadline,
                       Batch* rows) const {
  std::unique_lock<std::mutex> lock(mutex_);
  if (!WaitUntil(&changed_, &lock, deadline, [&] { return HasRow(partition, begin); })) {
    return false;
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
  std::lock_guard<std::mutex> lock(mutex_);
  int64_t id = next_listener_++;
  listeners_[id] = std::move(fn);
  return std::shared_ptr<void>(nullptr, [this, id](void*) {
    std::lock_guard<std::mutex> lock(mutex_);
    listeners_.erase(id);
  });
}

void MemoryTable::Commit(Committed committed) {
  std::lock_guard<std::mutex> lock(mutex_);
  committed_.push_back(std::move(committed));
  changed_.notify_all();
}

std::vector<MemoryTable::Committed> MemoryTable::committed() const {
  std::lock_guard<std::mutex> lock(mutex_);
  return committed_;
}

bool MemoryTable::WaitForCommitted(const std::function<bool(const std::vector<Committed>&)>& enough,
                                   absl::Time deadline) const {
  std::unique_lock<std::mutex> lock(mutex_);
  return WaitUntil(&changed_, &lock, deadline, [&] { return enough(committed_); });
}

MemoryTables& MemoryTables::Global() {
  static MemoryTables& tables = *new MemoryTables();
  return tables;
}

std::shared_ptr<MemoryTable> MemoryTables::Table(std::string_view name) {
  std::lock_guard<std::mutex> lock(mutex_);
  auto found = tables_.find(name);
  if (found == tables_.end()) {
    found = tables_.emplace(std::string(name), std::make_shared<MemoryTable>()).first;
  }
  return found->second;
}

void MemoryTables::Drop(std::string_view name) {
  std::lock_guard<std::mutex> lock(mutex_);
  auto found = tables_.find(name);
  if (found != tables_.end()) {
    tables_.erase(found);
  }
}

}  // namespace millrace
