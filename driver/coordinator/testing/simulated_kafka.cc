#include "driver/coordinator/testing/simulated_kafka.h"

#include <algorithm>
#include <utility>

namespace millrace::driver {

class SimulatedKafka::SimulatedProducer : public Producer {
 public:
  SimulatedProducer(SimulatedKafka* kafka, Owner* owner, absl::Duration timeout)
      : kafka_(*kafka), owner_(*owner), timeout_(timeout) {}

  absl::Status Init() override {
    kafka_.End(owner_, State::kAborted);
    epoch_ = ++owner_.epoch;
    phase_ = Phase::kReady;
    return absl::OkStatus();
  }

  absl::Status Begin() override {
    if (phase_ != Phase::kReady) {
      return absl::FailedPreconditionError("begin: not ready");
    }
    phase_ = Phase::kBegun;  // the broker learns of it with the first record or offset
    return absl::OkStatus();
  }

  absl::Status Produce(const std::string& topic, const Record& record) override {
    if (phase_ != Phase::kBegun) {
      return absl::FailedPreconditionError("produce: no transaction");
    }
    if (!fenced()) {
      Transaction& transaction = kafka_.OpenTransaction(owner_, timeout_);
      transaction.topics.insert(topic);
      Topic& log = kafka_.topics_[topic];
      last_offset_ = static_cast<int64_t>(log.size());
      log.push_back({owner_.open, record});
    }
    return absl::OkStatus();
  }

  int64_t LastOffset() const override { return last_offset_; }

  absl::Status SendOffset(const OffsetName& offset, const std::string& metadata) override {
    if (phase_ != Phase::kBegun) {
      return absl::FailedPreconditionError("send offset: no transaction");
    }
    KeptOffset& kept = kafka_.offsets_[offset];
    if (fenced()) {
      if (owner_.open != nullptr) {
        owner_.open->offsets.erase(offset);
        kept.open.erase(owner_.open.get());
      }
      return Fenced();
    }
    Transaction& transaction = kafka_.OpenTransaction(owner_, timeout_);
    transaction.offsets[offset] = metadata;
    kept.late.reset();
    kept.open.insert(&transaction);
    return absl::OkStatus();
  }

  absl::Status Commit() override {
    if (phase_ == Phase::kInDoubt && !fenced()) {
      phase_ = Phase::kReady;
      return absl::OkStatus();
    }
    if (phase_ != Phase::kBegun && phase_ != Phase::kInDoubt) {
      return absl::FailedPreconditionError("commit: no transaction");
    }
    const std::optional<Fate> fate = std::exchange(fate_, std::nullopt);
    if (fate == Fate::kLost) {
      phase_ = Phase::kUseless;
      return absl::UnavailableError("commit: no answer");
    }
    if (fenced()) {
      return Fenced();
    }
    kafka_.End(owner_, State::kCommitted);
    if (fate == Fate::kCarriedOut) {
      phase_ = Phase::kInDoubt;
      return absl::UnavailableError("commit: no answer");
    }
    phase_ = Phase::kReady;
    return absl::OkStatus();
  }

  absl::Status Abort() override {
    if (phase_ != Phase::kBegun) {
      return absl::FailedPreconditionError("abort: no transaction");
    }
    if (fenced()) {
      return Fenced();
    }
    kafka_.End(owner_, State::kAborted);
    phase_ = Phase::kReady;
    return absl::OkStatus();
  }

  void LoseAnswerOfCommit(Fate fate) override { fate_ = fate; }

 private:
  enum class Phase { kNew, kReady, kBegun, kInDoubt, kUseless };

  bool fenced() const { return epoch_ != owner_.epoch; }
  absl::Status Fenced() {
    phase_ = Phase::kUseless;
    return absl::AbortedError("another producer has the transactional id");
  }

  SimulatedKafka& kafka_;
  Owner& owner_;
  const absl::Duration timeout_;
  int64_t epoch_ = 0;
  Phase phase_ = Phase::kNew;
  int64_t last_offset_ = -1;
  std::optional<Fate> fate_;
};

std::unique_ptr<TransactionalLog::Producer> SimulatedKafka::NewProducer(
    const std::string& transactional_id, absl::Duration transaction_timeout) {
  return std::make_unique<SimulatedProducer>(this, &owners_[transactional_id], transaction_timeout);
}

SimulatedKafka::Transaction& SimulatedKafka::OpenTransaction(Owner& owner, absl::Duration timeout) {
  if (owner.open == nullptr) {
    owner.open = std::make_shared<Transaction>();
    owner.open->ends_at = now_ + timeout;
  }
  return *owner.open;
}

void SimulatedKafka::End(Owner& owner, State state) {
  const std::shared_ptr<Transaction> ended = std::exchange(owner.open, nullptr);
  if (ended == nullptr) {
    return;
  }
  ended->state = state;
  for (const std::string& topic : ended->topics) {
    topics_[topic].push_back({ended, std::nullopt});
    if (compacted_always_.contains(topic)) {
      Compact(topic, [] { return true; });
    }
  }
  for (const auto& [name, metadata] : ended->offsets) {
    KeptOffset& kept = offsets_[name];
    kept.open.erase(ended.get());
    if (state == State::kCommitted) {
      kept.late = metadata;
    }
  }
}

bool SimulatedKafka::IsCommitted(const Entry& entry) {
  return entry.record.has_value() && entry.transaction->state == State::kCommitted;
}

size_t SimulatedKafka::StableEnd(const Topic& topic) {
  const auto open = std::find_if(topic.begin(), topic.end(), [](const Entry& entry) {
    return entry.transaction->state == State::kOpen;
  });
  return static_cast<size_t>(open - topic.begin());
}

absl::StatusOr<TransactionalLog::Ends> SimulatedKafka::EndsOf(const std::string& topic) {
  const Topic& log = topics_[topic];
  return Ends{static_cast<int64_t>(StableEnd(log)), static_cast<int64_t>(log.size())};
}

absl::StatusOr<std::vector<std::string>> SimulatedKafka::ReadCommitted(const std::string& topic) {
  const Topic& log = topics_[topic];
  std::vector<std::string> values;
  const size_t end = StableEnd(log);
  for (size_t i = 0; i < end; ++i) {
    if (IsCommitted(log[i])) {
      values.push_back(log[i].record->value);
    }
  }
  return values;
}

absl::StatusOr<std::vector<TransactionalLog::PlacedRecord>> SimulatedKafka::ReadThrough(
    const std::string& topic, int64_t first, int64_t last) {
  if (last >= static_cast<int64_t>(StableEnd(topics_[topic]))) {
    return absl::UnavailableError("an open transaction is in the way");
  }
  std::vector<PlacedRecord> records = AllCommitted(topic);
  std::erase_if(records, [&](const PlacedRecord& record) {
    return record.offset < first || record.offset > last;
  });
  return records;
}

std::vector<TransactionalLog::PlacedRecord> SimulatedKafka::AllCommitted(
    const std::string& topic) const {
  std::vector<PlacedRecord> records;
  const auto log = topics_.find(topic);
  for (size_t i = 0; log != topics_.end() && i < log->second.size(); ++i) {
    if (IsCommitted(log->second[i])) {
      records.push_back({static_cast<int64_t>(i), *log->second[i].record});
    }
  }
  return records;
}

void SimulatedKafka::Compact(const std::string& topic, const std::function<bool()>& vanishes) {
  Topic& log = topics_[topic];
  std::set<std::string> superseded;
  for (auto entry = log.rbegin(); entry != log.rend(); ++entry) {
    if (IsCommitted(*entry) && entry->record->key.has_value() &&
        !superseded.insert(*entry->record->key).second && vanishes()) {
      entry->record.reset();
    }
  }
}

absl::StatusOr<std::optional<std::string>> SimulatedKafka::ReadOffset(const OffsetName& offset) {
  KeptOffset& kept = offsets_[offset];
  if (!kept.open.empty()) {
    return absl::UnavailableError("an open transaction has this offset");
  }
  if (kept.late.has_value()) {
    kept.committed = std::exchange(kept.late, std::nullopt);
  }
  return kept.committed;
}

absl::StatusOr<std::map<int32_t, std::string>> SimulatedKafka::ReadOffsets(
    const std::string& group) {
  for (const auto& [name, kept] : offsets_) {
    if (name.group == group) {
      if (absl::Status status = ReadOffset(name).status(); !status.ok()) {
        return status;
      }
    }
  }
  return CommittedOffsets(group);
}

std::map<int32_t, std::string> SimulatedKafka::CommittedOffsets(const std::string& group) const {
  std::map<int32_t, std::string> found;
  for (const auto& [name, kept] : offsets_) {
    const std::optional<std::string>& last = kept.late.has_value() ? kept.late : kept.committed;
    if (name.group == group && last.has_value()) {
      found[name.partition] = *last;
    }
  }
  return found;
}

void SimulatedKafka::PassTime(absl::Duration duration) {
  now_ += duration;
  for (auto& [id, owner] : owners_) {
    if (owner.open != nullptr && now_ > owner.open->ends_at) {
      End(owner, State::kAborted);
      ++owner.epoch;
    }
  }
}

}  // namespace millrace::driver
