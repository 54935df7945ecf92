#include "connectors/kafka/source/reader.h"

#include <algorithm>
#include <atomic>
#include <map>
#include <thread>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "common/base/monotonic_cond_var.h"
#include "common/base/status.h"
#include "common/base/steady_time.h"
#include "connectors/kafka/client/client.h"
#include "connectors/kafka/client/topics.h"
#include "connectors/kafka/source/chunk_builder.h"
#include "connectors/kafka/source/enumerator.h"
#include "connectors/kafka/source/fetched_partition.h"
#include "connectors/shared/options.h"

namespace millrace::kafka {
namespace {

// How many bytes of one partition librdkafka may hold outside the stage: its queue's limit, plus
// one fetch.
constexpr int64_t kLibraryBytesPerPartition = 3 << 19;
constexpr int64_t kLeastStageBytes = 256 << 10;
constexpr absl::Duration kConfirmTimeout = absl::Seconds(5);
constexpr absl::Duration kPollInterval = absl::Milliseconds(100);

class KafkaReader : public SourceReader {
 public:
  KafkaReader(proto::Source source, SourceContext context, const Format* format,
              OnDataLoss on_data_loss, std::shared_ptr<KafkaClient> client)
      : source_(std::move(source)),
        context_(std::move(context)),
        format_(format),
        on_data_loss_(on_data_loss),
        client_(std::move(client)),
        stage_limit_(context_.prefetch_bytes),
        pump_([this] { Pump(); }) {}

  ~KafkaReader() override {
    {
      absl::MutexLock lock(&pump_mutex_);
      stop_ = true;
    }
    pump_wake_.Signal();
    pump_.join();
    for (auto& [name, assigned] : partitions_) {
      assigned->fetched->Stop();
    }
    woken_.clear();
  }

  absl::Status Assign(const KnownPartition& known) override {
    const PartitionName& partition = known.name;
    ASSIGN_OR_RETURN(auto parsed, ParseKafkaPartition(partition));
    Unassign(partition);
    ASSIGN_OR_RETURN(std::unique_ptr<FormatDecoder> decoder, format_->CreateDecoder(source_));
    KafkaPartitionId id{parsed.first, parsed.second};
    auto assigned = std::make_shared<Assigned>(
        Assigned{std::make_shared<FetchedPartition>(
                     client_, id, known.next.value(), on_data_loss_,
                     [this](std::shared_ptr<FetchedPartition> one) { Wake(std::move(one)); }),
                 KafkaChunkBuilder(source_, id, std::move(decoder))});
    {
      absl::MutexLock lock(&mutex_);
      partitions_[partition] = assigned;
      DivideBytes();
    }
    return assigned->fetched->Start();
  }

  void Unassign(const PartitionName& partition) override {
    std::shared_ptr<Assigned> assigned;
    {
      absl::MutexLock lock(&mutex_);
      auto found = partitions_.find(partition);
      if (found == partitions_.end()) {
        return;
      }
      assigned = std::move(found->second);
      partitions_.erase(found);
      DivideBytes();
    }
    assigned->fetched->Stop();
  }

  absl::StatusOr<SourceChunk> Read(const PartitionName& partition, Offset end, size_t max_rows,
                                   uint64_t hash_seed, absl::Time deadline) override {
    std::shared_ptr<Assigned> assigned = Find(partition);
    if (assigned == nullptr) {
      return absl::FailedPreconditionError(
          absl::StrCat("partition ", partition, " is not assigned"));
    }
    FetchedPartition* fetched = assigned->fetched.get();
    absl::StatusOr<FetchedPartition::Taken> took =
        fetched->Take(end.value(), std::max<size_t>(max_rows, 1), stage_limit_.load(), deadline);
    if (absl::IsNotFound(took.status())) {
      took = TakeOfGone(fetched, end.value(), took.status());
    }
    ASSIGN_OR_RETURN(FetchedPartition::Taken taken, std::move(took));
    if (taken.wants_drain && !fetched->signalled.exchange(true)) {
      Wake(assigned->fetched);
    }
    if (taken.fetched_more && context_.on_progress != nullptr) {
      context_.on_progress();
    }
    ASSIGN_OR_RETURN(SourceChunk chunk,
                     assigned->builder.Build(std::move(taken.block), taken.next, hash_seed));
    chunk.lost_begin = Offset(taken.lost_begin);
    chunk.lost_end = Offset(taken.lost_end);
    return chunk;
  }

  double BytesPerOffset(const PartitionName& partition) override {
    const std::shared_ptr<Assigned> assigned = Find(partition);
    return assigned == nullptr ? 0 : assigned->fetched->BytesPerOffset();
  }

  std::vector<PartitionOffset> FetchedTo() override {
    absl::MutexLock lock(&mutex_);
    std::vector<PartitionOffset> out;
    out.reserve(partitions_.size());
    for (const auto& [name, assigned] : partitions_) {
      out.push_back({name, Offset(assigned->fetched->fetched_to())});
    }
    return out;
  }

 private:
  // A topic is gone, so no more records come: that is an error, or all of [position, end) is lost.
  absl::StatusOr<FetchedPartition::Taken> TakeOfGone(FetchedPartition* fetched, int64_t end,
                                                     const absl::Status& gone) {
    const absl::Status confirmed = ConfirmKafkaTopicGone(client_.get(), gone, fetched->id().topic,
                                                         fetched->id().partition, kConfirmTimeout);
    if (!absl::IsNotFound(confirmed)) {
      return confirmed;
    }
    if (on_data_loss_ == OnDataLoss::kFail) {
      return absl::NotFoundError(
          absl::StrCat(confirmed.message(), ": records up to offset ", end,
                       " are lost; to go on without them: option on_data_loss = 'skip'"));
    }
    return fetched->GiveUp(end);
  }

  struct Assigned {
    std::shared_ptr<FetchedPartition> fetched;
    KafkaChunkBuilder builder;  // used by the partition's one reading thread
  };

  std::shared_ptr<Assigned> Find(const PartitionName& partition) {
    absl::MutexLock lock(&mutex_);
    auto found = partitions_.find(partition);
    return found == partitions_.end() ? nullptr : found->second;
  }

  void DivideBytes() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    auto count = static_cast<int64_t>(std::max<size_t>(partitions_.size(), 1));
    int64_t stages = std::max(context_.prefetch_bytes / 2,
                              context_.prefetch_bytes - count * kLibraryBytesPerPartition);
    stage_limit_.store(std::max(stages / count, kLeastStageBytes));
  }

  // Called under a lock of librdkafka, so it only notes the partition and notifies.
  void Wake(std::shared_ptr<FetchedPartition> partition) {
    {
      absl::MutexLock lock(&pump_mutex_);
      woken_.push_back(std::move(partition));
    }
    pump_wake_.Signal();
  }

  // Moves arriving messages to the stage even if no thread reads, so that FetchedTo is right within
  // a millisecond.
  void Pump() {
    std::vector<std::shared_ptr<FetchedPartition>> woken;
    absl::Time next_poll = SteadyNow();
    while (true) {
      {
        absl::MutexLock lock(&pump_mutex_);
        if (!stop_ && woken_.empty()) {
          pump_wake_.WaitUntil(&pump_mutex_, next_poll);
        }
        if (stop_) {
          return;
        }
        woken.swap(woken_);
      }
      bool advanced = false;
      for (const std::shared_ptr<FetchedPartition>& partition : woken) {
        partition->signalled.store(false);
        advanced |= partition->Drain(stage_limit_.load());
      }
      woken.clear();
      if (advanced && context_.on_progress != nullptr) {
        context_.on_progress();
      }
      if (SteadyNow() >= next_poll) {
        client_->Poll();
        next_poll = SteadyNow() + kPollInterval;
      }
    }
  }

  const proto::Source source_;
  const SourceContext context_;
  const Format* const format_;
  const OnDataLoss on_data_loss_;
  std::shared_ptr<KafkaClient> client_;
  std::atomic<int64_t> stage_limit_;  // bytes per partition

  absl::Mutex mutex_;
  std::map<PartitionName, std::shared_ptr<Assigned>> partitions_ ABSL_GUARDED_BY(mutex_);

  absl::Mutex pump_mutex_;
  MonotonicCondVar pump_wake_;
  std::vector<std::shared_ptr<FetchedPartition>> woken_ ABSL_GUARDED_BY(pump_mutex_);
  bool stop_ ABSL_GUARDED_BY(pump_mutex_) = false;
  std::thread pump_;  // last: it uses all of the above
};

}  // namespace

absl::StatusOr<std::unique_ptr<SourceReader>> NewKafkaReader(const proto::Source& source,
                                                             const SourceContext& context,
                                                             const Format* format) {
  OptionMap options = source.options();
  // Responses are kept small: each is read into one buffer, which stays until its last message is
  // freed.
  options.insert(
      {"fetch.max.bytes", absl::StrCat(std::max<int64_t>(1 << 20, context.prefetch_bytes / 4))});
  options["isolation.level"] =
      ReadsCommitted(source, context) ? "read_committed" : "read_uncommitted";
  ASSIGN_OR_RETURN(std::shared_ptr<KafkaClient> client,
                   KafkaClient::Create(KafkaRole::kConsumer, options,
                                       {{"group.id", absl::StrCat("millrace-", context.job_name)},
                                        {"enable.auto.commit", "false"},
                                        {"enable.auto.offset.store", "false"},
                                        {"auto.offset.reset", "error"},
                                        {"enable.partition.eof", "true"}}));
  const OnDataLoss on_data_loss = OptionOr(source.options(), "on_data_loss", "fail") == "skip"
                                      ? OnDataLoss::kSkip
                                      : OnDataLoss::kFail;
  return std::make_unique<KafkaReader>(source, context, format, on_data_loss, std::move(client));
}

}  // namespace millrace::kafka
