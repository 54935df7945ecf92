// Failures of an epoch: what each means for the job, when it begins anew, and how a batch that is
// too large becomes a smaller one.
#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/excerpt.h"
#include "common/base/status.h"
#include "driver/coordinator/job_state.h"

namespace millrace::driver {
namespace {

FailureKind KindOf(const proto::EpochFailed& failed, absl::StatusCode code) {
  if (failed.restore_failed()) {
    return FailureKind::kEnvironment;  // the driver checks the snapshot itself, and decides by that
  }
  if (failed.kind() >= proto::FAILURE_ENVIRONMENT && failed.kind() <= proto::FAILURE_TOO_LARGE) {
    return static_cast<FailureKind>(failed.kind());
  }
  if (!failed.retryable()) {
    return FailureKind::kCertain;
  }
  const FailureKind by_code = FailureKindOf(absl::Status(code, ""));
  return by_code == FailureKind::kCertain ? FailureKind::kUndecided : by_code;
}

}  // namespace

void JobState::OnEpochFailed(size_t member, const proto::EpochFailed& failed) {
  auto code = static_cast<absl::StatusCode>(failed.code());
  code = code == absl::StatusCode::kOk ? absl::StatusCode::kUnknown : code;
  const bool starting = stage_ == Stage::kStartingEpoch;
  if (failed.store_unseen() && starting) {
    ExcludeExecutor(members_[member].id, members_[member].name, failed.message());
  } else if (failed.restore_failed() && starting && snapshots_.HasLayers()) {
    SuspectSnapshot(member, failed);
  } else {
    Fail(absl::Status(code, failed.message()), KindOf(failed, code), "", BatchId(failed.batch()));
  }
}

// `who`: the member or part that failed; empty when the message of `cause` already names it.
void JobState::Fail(const absl::Status& cause, FailureKind kind, const std::string& who,
                    BatchId batch) {
  std::string words = Excerpt(absl::StrCat(who, who.empty() || cause.message().empty() ? "" : ": ",
                                           ToAbsl(ToStd(cause.message()))));
  const bool smaller = kind == FailureKind::kTooLarge && PlanSmaller(batch, &words);
  AbandonEpoch();
  if (stop_.has_value() && !Settling()) {
    // Batches in flight are not committed. If the job is resumed, they are run again as planned.
    return;
  }
  if (smaller) {
    Retry(words, failures_.in_a_row(), 0);
    return;
  }
  if (kind == FailureKind::kCertain ||
      (kind != FailureKind::kEnvironment && failures_.RepeatsTooOften(cause.code(), batch))) {
    End(proto::JobEnded::FAILED, words);
    return;
  }
  const int in_a_row = failures_.Add();
  Retry(words, in_a_row, backoff_.PauseUs(in_a_row, epoch_));
}

void JobState::Retry(const std::string& words, int times, int64_t backoff_us) {
  ++restarts_;
  epoch_reason_ = words;
  epoch_is_restart_ = true;
  message_ = times > 1
                 ? absl::StrCat("restarts, ", times, " times by now without progress: ", words)
                 : absl::StrCat("restarts: ", words);
  Enter(Stage::kWaitingToRetry);
  retry_at_us_ = now_.mono_us + backoff_us;
}

bool JobState::PlanSmaller(BatchId batch, std::string* words) {
  const BatchPipeline::Batch* const failed = pipeline_.Find(batch);
  if (failed == nullptr || failed->suppressed || options_.settle) {
    return false;  // a committed batch must run again exactly as it was planned
  }
  if (batch == partly_committed_) {
    absl::StrAppend(
        words, "; part of batch ", batch.value(),
        " is committed, so it cannot be made smaller: give the executors more --memory");
    return false;
  }
  const int64_t offsets = OffsetsOf(failed->plan);
  const bool was_alone = pipeline_.in_flight().size() == 1;
  if (offsets <= 1 && was_alone) {
    if (offsets == 1) {
      const PlannedSplit& split = failed->plan.splits.front();
      const PartitionTable::Partition& partition = partitions_[split.ordinal];
      *words = absl::StrCat(
          "table \"", history_.plan().sources(static_cast<int>(partition.source)).table(),
          "\": what the record at offset ", split.begin, " of partition ", partition.name,
          " becomes needs more memory than an executor has for it, alone in batch ", batch.value(),
          ": ", *words, "; give the executors more --memory, or leave the record out in the query");
    }
    return false;
  }
  one_batch_at_a_time_ = true;
  if (offsets > 1) {
    controller_.OnTooLarge(offsets);
    *words =
        absl::StrCat("batch ", batch.value(), " needs too much memory and is planned anew with ",
                     offsets / 2, " of its ", offsets, " offsets: ", *words);
    too_large_ = TooLarge{batch, *words};
  }
  return true;
}

}  // namespace millrace::driver
