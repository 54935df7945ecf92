#include "connectors/kafka/source/fetched_partition.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/base/status.h"
#include "common/base/steady_time.h"
#include "connectors/kafka/client/topics.h"

namespace millrace::kafka {
namespace {

constexpr size_t kDrainMessages = 1024;
constexpr absl::Duration kAskTimeout = absl::Seconds(5);
// The memory that librdkafka allocates per message besides the payload; for small records it is
// most of the memory.
constexpr int64_t kMessageOverheadBytes = 400;

int64_t BytesOf(const rd_kafka_message_t& message) {
  return static_cast<int64_t>(message.len + message.key_len) + kMessageOverheadBytes;
}

}  // namespace

MessageBlock::~MessageBlock() {
  for (rd_kafka_message_t* message : messages) {
    rd_kafka_message_destroy(message);
  }
}

FetchedPartition::FetchedPartition(std::shared_ptr<KafkaClient> client, KafkaPartitionId id,
                                   int64_t offset, OnDataLoss on_data_loss,
                                   std::function<void(std::shared_ptr<FetchedPartition>)> wake)
    : client_(std::move(client)),
      id_(std::move(id)),
      name_(KafkaPartitionName(id_.topic, id_.partition)),
      on_data_loss_(on_data_loss),
      wake_(std::move(wake)),
      list_(rd_kafka_topic_partition_list_new(1)),
      fetched_to_(offset),
      position_list_(rd_kafka_topic_partition_list_new(1)),
      position_(offset),
      scratch_(kDrainMessages) {
  rd_kafka_topic_partition_list_add(list_.get(), id_.topic.c_str(), id_.partition)->offset = offset;
  rd_kafka_topic_partition_list_add(position_list_.get(), id_.topic.c_str(), id_.partition);
}

FetchedPartition::~FetchedPartition() {
  for (size_t i = head_; i < staged_.size(); ++i) {
    rd_kafka_message_destroy(staged_[i].message);
  }
}

absl::Status FetchedPartition::Start() {
  absl::MutexLock lock(&mutex_);
  return StartLocked();
}

absl::Status FetchedPartition::StartLocked() {
  // Done before assigning, so that no message goes to the consumer's common queue.
  queue_.reset(rd_kafka_queue_get_partition(client_->get(), id_.topic.c_str(), id_.partition));
  rd_kafka_queue_forward(queue_.get(), nullptr);
  rd_kafka_queue_cb_event_enable(queue_.get(), &FetchedPartition::OnQueueEvent, this);
  stale_position_ = LibraryPosition();
  KafkaPtr<rd_kafka_error_t> error(rd_kafka_incremental_assign(client_->get(), list_.get()));
  if (error != nullptr) {
    return absl::InternalError(
        absl::StrCat("assigning ", name_, ": ", rd_kafka_error_string(error.get())));
  }
  return absl::OkStatus();
}

void FetchedPartition::Stop() {
  if (queue_ == nullptr) {
    return;
  }
  // This takes the queue's lock, so no callback runs afterwards.
  rd_kafka_queue_cb_event_enable(queue_.get(), nullptr, nullptr);
  KafkaPtr<rd_kafka_error_t> ignored(rd_kafka_incremental_unassign(client_->get(), list_.get()));
  absl::MutexLock lock(&mutex_);
  queue_.reset();
  if (error_.ok()) {
    error_ = absl::CancelledError(absl::StrCat(name_, " was unassigned"));
  }
  arrived_.SignalAll();
}

void FetchedPartition::OnQueueEvent(rd_kafka_t*, void* opaque) {
  auto* self = static_cast<FetchedPartition*>(opaque);
  if (!self->signalled.exchange(true)) {
    if (std::shared_ptr<FetchedPartition> partition = self->weak_from_this().lock()) {
      self->wake_(std::move(partition));
    }
  }
}

bool FetchedPartition::Drain(int64_t limit_bytes) {
  absl::MutexLock lock(&mutex_);
  bool advanced = DrainLocked(limit_bytes);
  if (advanced || !error_.ok()) {
    arrived_.Signal();
  }
  return advanced;
}

bool FetchedPartition::DrainLocked(int64_t limit_bytes) {
  if (queue_ == nullptr) {
    return false;
  }
  int64_t before = fetched_to_.load(std::memory_order_relaxed);
  more_ = true;
  QueueErrors errors;
  while (staged_bytes_ < limit_bytes) {
    ssize_t count = rd_kafka_consume_batch_queue(queue_.get(), 0, scratch_.data(), scratch_.size());
    for (ssize_t i = 0; i < count; ++i) {
      Stage(scratch_[static_cast<size_t>(i)]);
    }
    if (count < static_cast<ssize_t>(scratch_.size())) {
      more_ = false;  // the queue is empty: the next message causes an event
      // Control records and records of an aborted transaction are no messages, but they advance the
      // position.
      if (int64_t position = LibraryPosition(); position != stale_position_) {
        AdvanceTo(position);
      }
      break;
    }
  }
  if (errors.error != RD_KAFKA_RESP_ERR_NO_ERROR) {
    NoteError(errors.error, errors.text);
  }
  bool advanced = fetched_to_.load(std::memory_order_relaxed) > before;
  if (advanced) {
    client_->NoteAlive();
  }
  return advanced;
}

double FetchedPartition::BytesPerOffset() {
  absl::MutexLock lock(&mutex_);
  if (head_ == staged_.size()) {
    return 0;
  }
  const int64_t offsets = staged_.back().offset + 1 - staged_[head_].offset;
  return static_cast<double>(staged_bytes_) / static_cast<double>(offsets);
}

int64_t FetchedPartition::LibraryPosition() {
  rd_kafka_position(client_->get(), position_list_.get());
  return position_list_->elems[0].offset;
}

void FetchedPartition::Stage(rd_kafka_message_t* message) {
  if (message->err == RD_KAFKA_RESP_ERR__PARTITION_EOF) {
    AdvanceTo(message->offset);
    client_->NoteAlive();
    rd_kafka_message_destroy(message);
    return;
  }
  if (message->err != RD_KAFKA_RESP_ERR_NO_ERROR) {
    const char* text = rd_kafka_message_errstr(message);
    NoteError(message->err, text == nullptr ? "" : text);
    rd_kafka_message_destroy(message);
    return;
  }
  staged_.push_back({message, message->offset});
  staged_bytes_ += BytesOf(*message);
  AdvanceTo(message->offset + 1);
}

void FetchedPartition::AdvanceTo(int64_t offset) {
  if (offset > fetched_to_.load(std::memory_order_relaxed)) {
    fetched_to_.store(offset, std::memory_order_release);
  }
}

void FetchedPartition::NoteError(rd_kafka_resp_err_t error, const std::string& text) {
  absl::Status status = KafkaStatus(error, absl::StrCat("reading ", name_));
  if (status.code() == absl::StatusCode::kUnavailable || !error_.ok()) {
    return;  // librdkafka tries again by itself
  }
  if (status.code() == absl::StatusCode::kNotFound) {
    error_ = absl::NotFoundError(
        absl::StrCat("topic ", id_.topic, " (partition ", id_.partition,
                     ") no longer exists; it was deleted while the job read it"));
    return;
  }
  error_ = absl::Status(status.code(), absl::StrCat(status.message(), " (", text, ")"));
}

bool FetchedPartition::TakeLostLocked(int64_t end, Taken* taken) {
  if (position_ >= lost_end_) {
    return false;
  }
  taken->next = std::min(lost_end_, end);
  if (taken->next > lost_begin_) {
    taken->lost_begin = std::max(position_, lost_begin_);
    taken->lost_end = taken->next;
  }
  position_ = taken->next;
  return true;
}

bool FetchedPartition::TakeLocked(int64_t end, size_t max_messages, Taken* taken) {
  if (position_ >= end) {
    taken->next = position_;
    return true;
  }
  if (TakeLostLocked(end, taken)) {
    return true;
  }
  auto begin = staged_.begin() + static_cast<ptrdiff_t>(head_);
  auto stop = begin + static_cast<ptrdiff_t>(std::min(max_messages, staged_.size() - head_));
  if (begin != stop && (stop - 1)->offset >= end) {
    stop = std::lower_bound(begin, stop, end,
                            [](const Staged& one, int64_t offset) { return one.offset < offset; });
  }
  bool rest_is_beyond = stop != staged_.end() ? stop->offset >= end : fetched_to() >= end;
  if (begin == stop && !rest_is_beyond) {
    return false;
  }
  taken->next = rest_is_beyond ? end : (stop - 1)->offset + 1;
  taken->block->messages.reserve(static_cast<size_t>(stop - begin));
  for (auto one = begin; one != stop; ++one) {
    taken->block->messages.push_back(one->message);
    staged_bytes_ -= BytesOf(*one->message);
  }
  head_ += static_cast<size_t>(stop - begin);
  position_ = taken->next;
  if (head_ == staged_.size()) {
    staged_.clear();
    head_ = 0;
  } else if (head_ >= 2 * (staged_.size() - head_)) {
    staged_.erase(staged_.begin(), staged_.begin() + static_cast<ptrdiff_t>(head_));
    head_ = 0;
  }
  return true;
}

absl::StatusOr<FetchedPartition::Taken> FetchedPartition::Take(int64_t end, size_t max_messages,
                                                               int64_t limit_bytes,
                                                               absl::Time deadline) {
  Taken taken{.block = std::make_shared<MessageBlock>(client_)};
  absl::MutexLock lock(&mutex_);
  while (true) {
    if (staged_.size() - head_ < max_messages) {
      taken.fetched_more |= DrainLocked(limit_bytes);
    }
    if (TakeLocked(end, max_messages, &taken)) {
      taken.wants_drain = more_ && staged_bytes_ < limit_bytes / 2;
      return taken;
    }
    if (absl::IsOutOfRange(error_)) {
      const int64_t next = fetched_to_.load(std::memory_order_relaxed);
      const std::string reason(ToStd(error_.message()));
      mutex_.Unlock();
      absl::Status went_on = GoOnBehindLoss(next, reason);
      mutex_.Lock();
      RETURN_IF_ERROR(went_on);
      if (position_ < lost_end_) {
        continue;
      }
    } else if (!error_.ok()) {
      return error_;
    }
    if (SteadyNow() >= deadline) {
      return TimeoutError(end);
    }
    arrived_.WaitUntil(&mutex_, deadline);
  }
}

FetchedPartition::Taken FetchedPartition::GiveUp(int64_t end) {
  absl::MutexLock lock(&mutex_);
  Taken taken{.block = std::make_shared<MessageBlock>(client_),
              .next = end,
              .lost_begin = position_,
              .lost_end = end};
  spdlog::warn("{} is gone: offsets [{}, {}) are lost; going on, as on_data_loss = 'skip' says",
               name_, position_, end);
  position_ = end;
  return taken;
}

absl::Status FetchedPartition::TimeoutError(int64_t end) {
  std::string what = absl::StrCat("reading topic ", id_.topic, " partition ", id_.partition,
                                  " at offset ", position_);
  if (client_->AllBrokersDown()) {
    return absl::UnavailableError(
        absl::StrCat("no Kafka broker can be reached at bootstrap.servers = '",
                     client_->bootstrap_servers(), "' while ", what));
  }
  return absl::DeadlineExceededError(
      absl::StrCat(what, ": no more records below offset ", end, " have come in time"));
}

absl::StatusOr<int64_t> FetchedPartition::WhereToGoOn(int64_t next, const std::string& reason) {
  ASSIGN_OR_RETURN(
      const std::vector<int64_t> earliest,
      QueryKafkaOffsets(client_.get(), {{id_, RD_KAFKA_OFFSET_SPEC_EARLIEST}}, false, kAskTimeout));
  ASSIGN_OR_RETURN(
      const std::vector<int64_t> latest,
      QueryKafkaOffsets(client_.get(), {{id_, RD_KAFKA_OFFSET_SPEC_LATEST}}, false, kAskTimeout));
  const std::string where = absl::StrCat("topic ", id_.topic, " partition ", id_.partition);
  if (next > latest[0] || absl::StrContains(reason, "truncation")) {
    return absl::OutOfRangeError(absl::StrCat(
        where, ": offsets up to ", next, " have been read, but the log ",
        next > latest[0] ? absl::StrCat("now ends at ", latest[0]) : "was cut below and grew again",
        ": a replica that lacked records became the leader, or the topic was deleted and created "
        "again; cancel the job, or submit it under another name"));
  }
  if (next >= earliest[0]) {
    return next;  // the replica that gave this error is no longer the leader, or lagged behind
  }
  const std::string lost = absl::StrCat(where, ": offsets [", next, ", ", earliest[0],
                                        ") are lost: the log now begins at ", earliest[0]);
  if (on_data_loss_ == OnDataLoss::kFail) {
    return absl::OutOfRangeError(
        absl::StrCat(lost,
                     ". Keep records longer (retention.ms), or go on without them: option "
                     "on_data_loss = 'skip'"));
  }
  spdlog::warn("{}; going on there, as on_data_loss = 'skip' says", lost);
  return earliest[0];
}

absl::Status FetchedPartition::GoOnBehindLoss(int64_t next, const std::string& reason) {
  ASSIGN_OR_RETURN(const int64_t offset, WhereToGoOn(next, reason));
  return GoOnAt(offset);
}

absl::Status FetchedPartition::GoOnAt(int64_t offset) {
  absl::MutexLock lock(&mutex_);
  if (queue_ == nullptr) {
    return error_;
  }
  error_ = absl::OkStatus();
  const int64_t fetched = fetched_to_.load(std::memory_order_relaxed);
  if (offset > fetched) {
    lost_begin_ = fetched;
    lost_end_ = offset;
    AdvanceTo(offset);
  }
  rd_kafka_queue_cb_event_enable(queue_.get(), nullptr, nullptr);
  KafkaPtr<rd_kafka_error_t> ignored(rd_kafka_incremental_unassign(client_->get(), list_.get()));
  list_->elems[0].offset = offset;
  return StartLocked();
}

}  // namespace millrace::kafka
