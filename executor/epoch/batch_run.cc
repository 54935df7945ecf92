#include "executor/epoch/batch_run.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "common/base/check.h"
#include "common/base/failure_kind.h"
#include "common/base/status.h"

namespace millrace::executor {

BatchRun::BatchRun(const EpochLayout& layout, const proto::RunBatch& message, int64_t start_ns)
    : layout_(layout),
      batch_(message.batch()),
      time_us_(message.batch_time_us()),
      start_ns_(start_ns),
      suppressed_(batch_ <= layout.suppress_until),
      sent_(layout.exchanges.size() * layout.members.size()),
      units_left_(layout.stages.size()),
      stages_left_(layout.stages.size()),
      exchanges_(layout.exchanges.size()) {
  for (const proto::VisibleShards& visible : message.visible()) {
    for (const uint32_t shard : visible.shards()) {
      visible_[{.sink = visible.sink(), .shard = shard}] = visible.terms();
    }
  }
  for (size_t stage = 0; stage < layout.stages.size(); ++stage) {
    if (layout.stages[stage].source.has_value()) {
      ++source_stages_left_;
      for (const proto::Split& split : message.splits()) {
        units_left_[stage] += split.key().source() == *layout.stages[stage].source ? 1 : 0;
      }
    } else {
      units_left_[stage] = layout.own_shards.size();
    }
  }
  for (size_t exchange = 0; exchange < exchanges_.size(); ++exchange) {
    exchanges_[exchange].feeders_left = layout.exchanges[exchange].feeders.size();
    exchanges_[exchange].members_left = layout.members.size();
    exchanges_[exchange].received.resize(layout.members.size());
    exchanges_[exchange].ended.resize(layout.members.size());
  }
}

SinkBatch BatchRun::ForShard(ShardPlace shard) const {
  SinkBatch batch{.id = batch_, .time_us = time_us_};
  if (const auto visible = visible_.find(shard); visible != visible_.end()) {
    batch.visible = visible->second;
  }
  return batch;
}

BatchRun::Consequences BatchRun::EndEmptyStages() {
  Consequences consequences;
  absl::MutexLock lock(&mutex_);
  for (uint32_t stage = 0; stage < units_left_.size(); ++stage) {
    if (units_left_[stage] == 0) {
      EndStage(stage, &consequences);
    }
  }
  return consequences;
}

BatchRun::Consequences BatchRun::UnitEnded(uint32_t stage) {
  Consequences consequences;
  absl::MutexLock lock(&mutex_);
  MILLRACE_CHECK(units_left_[stage] > 0) << "stage " << stage << " has ended already";
  if (--units_left_[stage] == 0) {
    EndStage(stage, &consequences);
  }
  return consequences;
}

void BatchRun::EndStage(uint32_t stage, Consequences* consequences) {
  for (const uint32_t exchange : layout_.stages[stage].feeds) {
    if (--exchanges_[exchange].feeders_left == 0) {
      consequences->exchanges.push_back(exchange);
    }
  }
  if (layout_.stages[stage].source.has_value() && --source_stages_left_ == 0) {
    consequences->sources_ended = true;
  }
  consequences->all_ended = --stages_left_ == 0;
}

void BatchRun::CountSent(uint32_t exchange, uint32_t member) {
  sent_[exchange * layout_.members.size() + member].fetch_add(1, std::memory_order_relaxed);
}

uint64_t BatchRun::Sent(uint32_t exchange, uint32_t member) const {
  return sent_[exchange * layout_.members.size() + member].load();
}

absl::Status BatchRun::AfterEnd(uint32_t exchange, uint32_t member) const {
  return absl::AbortedError(absl::StrCat("executor ", layout_.members[member].executor_id,
                                         " goes on after the end of its rows of batch ",
                                         batch_.value(), " for exchange ", exchange));
}

absl::Status BatchRun::CountReceived(uint32_t exchange, uint32_t member) {
  absl::MutexLock lock(&mutex_);
  if (exchanges_[exchange].ended[member]) {
    return AfterEnd(exchange, member);
  }
  ++exchanges_[exchange].received[member];
  return absl::OkStatus();
}

absl::StatusOr<bool> BatchRun::MemberEnded(uint32_t exchange, uint32_t member, uint64_t blocks) {
  absl::MutexLock lock(&mutex_);
  Exchange& state = exchanges_[exchange];
  if (state.ended[member]) {
    return AfterEnd(exchange, member);
  }
  if (state.received[member] != blocks) {
    // A connection broke on the way.
    return WithFailureKind(
        absl::AbortedError(absl::StrCat(
            "executor ", layout_.members[member].executor_id, " sent ", blocks, " blocks of batch ",
            batch_.value(), " for exchange ", exchange, ", ", state.received[member], " arrived")),
        FailureKind::kEnvironment);
  }
  state.ended[member] = true;
  return --state.members_left == 0;
}

void BatchRun::AddReport(proto::SplitReport report) {
  absl::MutexLock lock(&mutex_);
  reports_.push_back(std::move(report));
}

void BatchRun::AddSkipped(const SkipReport& report) {
  if (report.records == 0) {
    return;
  }
  absl::MutexLock lock(&mutex_);
  skipped_.records += report.records;
  if (skipped_.first_error.empty()) {
    skipped_.first_error = report.first_error;
  }
}

void BatchRun::AddSession(OpenSession* session) {
  absl::MutexLock lock(&mutex_);
  sessions_.insert(session);
}

absl::Status BatchRun::AddResult(uint32_t sink, uint32_t shard, std::string rows,
                                 const std::shared_ptr<HeldMemory>& memory) {
  absl::MutexLock lock(&mutex_);
  RETURN_IF_ERROR(results_memory_.Add(memory, static_cast<int64_t>(rows.size()),
                                      "a table whose rows are shown to people"));
  results_[{sink, shard}].push_back(std::move(rows));
  return absl::OkStatus();
}

std::set<OpenSession*> BatchRun::TakeSessions() {
  absl::MutexLock lock(&mutex_);
  return std::move(sessions_);
}

std::vector<std::pair<uint32_t, std::string>> BatchRun::TakeResults() {
  absl::MutexLock lock(&mutex_);
  std::vector<std::pair<uint32_t, std::string>> results;
  for (auto& [key, pieces] : results_) {
    for (std::string& rows : pieces) {
      results.emplace_back(key.first, std::move(rows));
    }
  }
  results_.clear();
  return results;
}

void BatchRun::FillPrepared(proto::BatchPrepared* prepared) {
  absl::MutexLock lock(&mutex_);
  std::sort(reports_.begin(), reports_.end(),
            [](const proto::SplitReport& a, const proto::SplitReport& b) {
              return std::make_pair(a.key().source(), a.key().partition()) <
                     std::make_pair(b.key().source(), b.key().partition());
            });
  for (proto::SplitReport& report : reports_) {
    *prepared->add_splits() = std::move(report);
  }
  prepared->set_batch(batch_.value());
  prepared->set_batch_held_bytes(results_memory_.bytes());
  prepared->set_rows_out(rows_out_.load());
  prepared->set_read_us(read_us_.load());
  prepared->set_skipped(skipped_.records);
  prepared->set_first_error(skipped_.first_error);
}

}  // namespace millrace::executor
