#include "driver/results/result_buffer.h"

#include <algorithm>
#include <utility>

namespace millrace::driver {

namespace {

// Memory of an entry besides its message: the shared pointer's control block and the place in the
// queue.
constexpr int64_t kEntryOverheadBytes = 64;

}  // namespace

ResultBuffer::ResultBuffer(int64_t max_bytes, bool rows, bool hold,
                           std::function<void(bool)> on_held)
    : max_bytes_(max_bytes), rows_(rows), hold_(hold), on_held_(std::move(on_held)) {}

void ResultBuffer::Add(proto::BatchResults results) {
  const auto bytes = static_cast<int64_t>(results.SpaceUsedLong()) + kEntryOverheadBytes;
  {
    absl::MutexLock lock(&mutex_);
    while (!rows_ && !kept_.empty()) {
      DropFirst();
    }
    kept_.push_back({std::make_shared<const proto::BatchResults>(std::move(results)), bytes});
    bytes_ += bytes;
    Trim();
  }
  changed_.SignalAll();
  TellHeld();
}

void ResultBuffer::Finish(proto::BatchResults last) {
  {
    absl::MutexLock lock(&mutex_);
    if (last_ == nullptr) {
      last_ = std::make_shared<const proto::BatchResults>(std::move(last));
    }
  }
  changed_.SignalAll();
}

void ResultBuffer::LetGo() {
  absl::MutexLock lock(&mutex_);
  let_go_ = true;
  Trim();
}

int64_t ResultBuffer::kept_bytes() const {
  absl::MutexLock lock(&mutex_);
  return bytes_;
}

int64_t ResultBuffer::Untaken() const {
  const int64_t all = first_ + static_cast<int64_t>(kept_.size());
  if (!hold_ || (ever_read_ && readers_.empty())) {
    return all;
  }
  return readers_.empty() ? first_ : *readers_.begin();
}

bool ResultBuffer::HasFor(int64_t next) const {
  return next < first_ + static_cast<int64_t>(kept_.size()) || last_ != nullptr;
}

void ResultBuffer::DropFirst() {
  bytes_ -= kept_.front().bytes;
  kept_.pop_front();
  ++first_;
}

void ResultBuffer::Trim() {
  const int64_t untaken = Untaken();
  const int64_t wanted = hold_ || readers_.empty() ? untaken : *readers_.begin();
  while (let_go_ && !kept_.empty() && first_ < wanted) {
    DropFirst();
  }
  while (bytes_ > max_bytes_ && kept_.size() > 1 && first_ < untaken) {
    DropFirst();
  }
  int64_t untaken_bytes = 0;
  for (size_t i = kept_.size(); i > 0 && first_ + static_cast<int64_t>(i) > untaken; --i) {
    untaken_bytes += kept_[i - 1].bytes;
  }
  over_limit_ = hold_ && untaken_bytes > max_bytes_;
}

void ResultBuffer::TellHeld() {
  if (!hold_) {
    return;
  }
  absl::MutexLock telling(&tell_mutex_);
  bool held;
  {
    absl::MutexLock lock(&mutex_);
    held = over_limit_;
  }
  if (held != told_over_limit_) {
    told_over_limit_ = held;
    on_held_(held);
  }
}

std::unique_ptr<ResultBuffer::Reader> ResultBuffer::NewReader(
    const std::shared_ptr<ResultBuffer>& buffer, int64_t from_batch) {
  absl::MutexLock lock(&buffer->mutex_);
  int64_t next = buffer->first_;
  for (const Kept& kept : buffer->kept_) {
    if (kept.entry->batch() >= from_batch) {
      break;
    }
    ++next;
  }
  buffer->readers_.insert(next);
  buffer->ever_read_ = true;
  return std::unique_ptr<Reader>(new Reader(buffer, next));
}

ResultBuffer::Reader::~Reader() {
  {
    absl::MutexLock lock(&buffer_->mutex_);
    buffer_->readers_.erase(buffer_->readers_.find(next_));
    buffer_->Trim();
  }
  buffer_->TellHeld();
}

ResultBuffer::Entry ResultBuffer::Reader::Next(absl::Time deadline, bool* end) {
  ResultBuffer& buffer = *buffer_;
  Entry entry;
  {
    absl::MutexLock lock(&buffer.mutex_);
    while (!buffer.HasFor(next_)) {
      if (buffer.changed_.WaitUntil(&buffer.mutex_, deadline) && !buffer.HasFor(next_)) {
        *end = false;
        return nullptr;
      }
    }
    const int64_t at = std::max(next_, buffer.first_);
    if (at >= buffer.first_ + static_cast<int64_t>(buffer.kept_.size())) {
      *end = true;
      return buffer.last_;
    }
    *end = false;
    entry = buffer.kept_[static_cast<size_t>(at - buffer.first_)].entry;
    buffer.readers_.erase(buffer.readers_.find(next_));
    next_ = at + 1;
    buffer.readers_.insert(next_);
    buffer.Trim();
  }
  buffer.TellHeld();
  return entry;
}

}  // namespace millrace::driver
