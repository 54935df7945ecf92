#include "cli/job_follower.h"

#include <unistd.h>

#include <algorithm>
#include <thread>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/time/time.h"
#include "cli/progress_line.h"
#include "cli/result_printer.h"
#include "common/base/status.h"
#include "common/base/steady_time.h"

namespace millrace::cli {
namespace {

// How long the threads of a drained job, which may wait for a broker, may take to end.
constexpr absl::Duration kExitPatience = absl::Seconds(3);

// One run of FollowJob.
class Follower {
 public:
  Follower(client::DriverClient& client, const std::string& job, const FollowOptions& options,
           const Console& console)
      : client_(client),
        job_(job),
        options_(options),
        console_(console),
        printer_(console, options.output, /*show_empty=*/options.max_batches > 0),
        progress_(console, options.progress) {}
  ~Follower() {
    if (stopper_.joinable()) {
      stopper_.join();
    }
  }

  int Run() {
    proto::ResultsRequest request;
    request.set_name(job_);
    request.set_follow(true);
    const absl::Status status = client_.Results(
        request, [this](const proto::BatchResults& batch) { return OnBatch(batch); });
    progress_.Clear();
    if (!failure_.ok()) {
      return console_.Fail(failure_);
    }
    if (!status.ok()) {
      return console_.Fail(status);
    }
    return Finish();
  }

 private:
  bool OnBatch(const proto::BatchResults& batch) {
    if (batch.phase() != proto::PHASE_UNKNOWN) {
      phase_ = batch.phase();
      message_ = batch.message();
    }
    total_records_ = std::max(total_records_, batch.total_records());
    if (options_.max_batches > 0 && (batches_ >= options_.max_batches || batch.records() == 0)) {
      return true;  // past the last one that was asked for, or before the first line
    }
    progress_.Clear();
    failure_ = printer_.Print(batch);
    if (failure_.ok() && !console_.out.good()) {
      failure_ = absl::UnavailableError("standard output was closed; the job is stopped");
    }
    if (batch.batch() > 0) {
      progress_.Update(batch.total_records(), batch.lag_records());
      ++batches_;
    }
    if (batches_ == options_.max_batches) {
      StopInBackground();
    }
    return failure_.ok();
  }

  // Not from the reading thread: the job may wait for its follower to take what is there.
  void StopInBackground() {
    if (!stopper_.joinable() && options_.max_batches > 0) {
      stopper_ = std::thread([this] { client_.Stop(job_, /*cancel=*/false).IgnoreError(); });
    }
  }

  int Finish() {
    if (phase_ == proto::PHASE_FAILED || phase_ == proto::PHASE_CANCELLED) {
      return console_.Fail(absl::InternalError(
          absl::StrCat("job ", job_,
                       phase_ == proto::PHASE_FAILED ? " failed: " : " was cancelled ", message_)));
    }
    NoteLeftOut();
    if (options_.summary) {
      const double seconds = std::max(absl::ToDoubleSeconds(SteadyNow() - start_), 1e-3);
      console_.Note(absl::StrFormat("%s: %s records in %.1f s (%s records/s)",
                                    client::PhaseName(phase_), WithThousands(total_records_),
                                    seconds,
                                    WithThousands(static_cast<int64_t>(total_records_ / seconds))));
    }
    return kExitOk;
  }

  // on_error = 'skip' and 'table:…' let a job go on; nobody should have to ask to hear of it.
  void NoteLeftOut() {
    const auto detail = client_.Show(job_);
    if (detail.ok() && detail->summary().skipped_records() > 0) {
      console_.Note(
          absl::StrCat("left out by on_error: ", WithThousands(detail->summary().skipped_records()),
                       " records; the first: ", detail->first_skipped()));
    }
  }

  client::DriverClient& client_;
  const std::string& job_;
  const FollowOptions& options_;
  const Console& console_;
  ResultPrinter printer_;
  ProgressLine progress_;
  const absl::Time start_ = SteadyNow();
  absl::Status failure_;
  proto::JobPhase phase_ = proto::PHASE_UNKNOWN;
  std::string message_;
  int64_t total_records_ = 0;
  int64_t batches_ = 0;
  std::thread stopper_;
};

}  // namespace

DrainOnInterrupt::Scope::Scope(DrainOnInterrupt& on_interrupt, Drain drain)
    : on_interrupt_(on_interrupt) {
  absl::MutexLock lock(&on_interrupt_.mutex_);
  on_interrupt_.drain_ = std::move(drain);
  on_interrupt_.had_job_ = true;
}

DrainOnInterrupt::Scope::~Scope() {
  absl::MutexLock lock(&on_interrupt_.mutex_);
  on_interrupt_.drain_ = nullptr;
}

void DrainOnInterrupt::OnInterrupt() {
  interrupted_ = true;
  absl::MutexLock lock(&mutex_);
  if (drain_ == nullptr) {
    if (!had_job_) {
      _exit(kExitFailed);  // nothing has begun that would have to be finished
    }
    return;  // the job has ended by itself
  }
  console_.Note("\ndraining: the batches under way are finished; Ctrl-C again ends at once");
  if (const absl::Status drained = drain_(); !drained.ok()) {
    // Nothing moves, and destructors might wait for the same as the batches.
    _exit(console_.Fail(Annotate(drained, "ends without draining")));
  }
}

int DrainOnInterrupt::EndWith(int code) {
  if (interrupted_) {
    console_.out.flush();
    deadline_.emplace(kExitPatience, code);
  }
  return code;
}

int FollowJob(client::DriverClient& client, const std::string& job, const FollowOptions& options,
              const Console& console) {
  return Follower(client, job, options, console).Run();
}

}  // namespace millrace::cli
