// Failures of an epoch: what each means for the job, when it begins anew, and how a batch that is
// too large becomes a smaller one.
#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/excerpt.h"
#include "common/base/status.h"
#include "driver/batch/doubling_pause.h"
#include "driver/batch/job_state.h"

namespace millrace {
namespace {

// Spreads `value` over [value/2, value].
int64_t Jitter(int64_t value, uint64_t seed) {
  seed = (seed ^ (seed >> 33)) * 0xff51afd7ed558ccdULL;
  seed ^= seed >> 33;
  return value / 2 + static_cast<int64_t>(seed % static_cast<uint64_t>(value / 2 + 1));
}

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
    Retry(words, failures_.in_a_row, 0);
    return;
  }
  if (kind == FailureKind::kCertain ||
      (kind != FailureKind::kEnvironment && HasRepeatedTooOften(cause.code(), batch))) {
    End(proto::JobEnded::FAILED, words);
    return;
  }
  ++failures_.in_a_row;
  Retry(words, failures_.in_a_row, BackoffUs(failures_.in_a_row));
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

bool JobState::HasRepeatedTooOften(absl::StatusCode code, BatchId batch) {
  if (failures_.code != code || failures_.batch != batch) {
    failures_.the_same = 0;
  }
  failures_.code = code;
  failures_.batch = batch;
  return ++failures_.the_same > options_.max_same_failures;
}

// The first retry comes at once: most often an executor has died, and the others are ready.
int64_t JobState::BackoffUs(int failures) const {
  if (failures <= 1) {
    return 0;
  }
  return Jitter(
      DoublingPauseUs(options_.first_backoff_us, failures - 2, options_.max_backoff_us),
      options_.jitter_seed ^ (static_cast<uint64_t>(epoch_.value()) * 0x9e3779b97f4a7c15ULL));
}

}  // namespace millrace
