#include "driver/journal/directory_lease.h"

#include <google/protobuf/text_format.h>
#include <google/protobuf/util/message_differencer.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <condition_variable>
#include <mutex>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/base/failpoint.h"
#include "common/base/status.h"
#include "driver/journal/lease_holder.h"
#include "driver/journal/segment_files.h"

namespace millrace::driver {
namespace {

constexpr char kLeaseName[] = "LEASE";
// How many times per lease time the holder renews, and a standby looks.
constexpr int kRenewals = 3;
constexpr int kLooks = 15;

// Waits in real time; false once `stop` is requested.
bool Wait(const std::stop_token& stop, absl::Duration time) {
  // Not an absl::Mutex: the standard library alone can wait for a stop token. Nobody else has it.
  std::mutex mutex;
  std::condition_variable_any changed;
  std::unique_lock<std::mutex> lock(mutex);
  changed.wait_for(lock, stop, absl::ToChronoNanoseconds(time), [] { return false; });
  return !stop.stop_requested();
}

// Nothing if there is no such file, or it is not a lease that we wrote, which a crash of the
// machine may leave.
absl::StatusOr<std::optional<proto::Lease>> ReadLease(FileSystem* files, const std::string& path) {
  const absl::StatusOr<std::string> text = files->Read(path);
  if (absl::IsNotFound(text.status())) {
    return std::optional<proto::Lease>();
  }
  RETURN_IF_ERROR(text.status());
  proto::Lease lease;
  if (!google::protobuf::TextFormat::ParseFromString(*text, &lease)) {
    return std::optional<proto::Lease>();
  }
  return std::make_optional(std::move(lease));
}

absl::StatusOr<LeaseSighting> Look(FileSystem* files, const std::string& directory) {
  LeaseSighting seen;
  ASSIGN_OR_RETURN(seen.lease, ReadLease(files, absl::StrCat(directory, "/", kLeaseName)));
  ASSIGN_OR_RETURN(seen.last_segment, LastSegment(files, directory));
  seen.holder_gone = seen.lease.has_value() && HolderIsGone(*seen.lease);
  return seen;
}

// A segment exists before LEASE names it, and the highest one is never removed. So a higher number
// in LEASE says that the newest segment was lost: what older ones say (or that there is nothing)
// would be taken for the truth.
absl::Status CheckNewestIsThere(const LeaseSighting& seen, const std::string& directory) {
  if (!seen.lease.has_value() || seen.lease->segment() <= seen.last_segment) {
    return absl::OkStatus();
  }
  return absl::DataLossError(absl::StrCat(
      SegmentPath(directory, seen.lease->segment()), " is missing, which ", directory, "/",
      kLeaseName, " names; the newest one there is ",
      seen.last_segment == 0 ? "none" : SegmentName(seen.last_segment),
      ": restore the file from a copy; if it is lost, remove ", kLeaseName, " to ",
      seen.last_segment == 0 ? "begin without any job"
                             : "go on from there (jobs may then have written what is not in it)"));
}

std::string NameOf(const std::optional<proto::Lease>& lease) {
  return lease.has_value() ? absl::StrCat("another driver (", HolderName(*lease), ")")
                           : "another driver";
}

}  // namespace

bool LeaseWatch::Moved(const LeaseSighting& seen) const {
  return seen.last_segment != last_->last_segment ||
         seen.lease.has_value() != last_->lease.has_value() ||
         (seen.lease.has_value() &&
          !google::protobuf::util::MessageDifferencer::Equals(*seen.lease, *last_->lease));
}

LeaseWatch::Verdict LeaseWatch::Judge(const LeaseSighting& seen, int64_t now_ns) {
  if (!last_.has_value() || Moved(seen)) {
    alive_ = last_.has_value();
    last_ = seen;
    since_ns_ = now_ns;
  }
  if (seen.last_segment == 0 && !seen.lease.has_value()) {
    return Verdict::kFree;  // no driver has ever had this directory
  }
  // A lease for an older segment says nothing about the driver that made the newest one.
  if (seen.lease.has_value() && seen.lease->segment() == seen.last_segment &&
      (seen.lease->released() || seen.holder_gone)) {
    return Verdict::kFree;
  }
  const absl::Duration lease_time = seen.lease.has_value() && seen.lease->lease_ms() > 0
                                        ? absl::Milliseconds(seen.lease->lease_ms())
                                        : lease_time_;
  if (absl::Nanoseconds(now_ns - since_ns_) >= lease_time) {
    return Verdict::kFree;
  }
  return alive_ ? Verdict::kAlive : Verdict::kUnknown;
}

DirectoryLease::DirectoryLease(DirectoryLeaseOptions options)
    : options_(std::move(options)),
      lease_path_(absl::StrCat(options_.directory, "/", kLeaseName)),
      draft_path_(absl::StrCat(lease_path_, ".", options_.driver_id)) {}

DirectoryLease::~DirectoryLease() { StopRenewing(); }

absl::StatusOr<std::unique_ptr<DirectoryLease>> DirectoryLease::Acquire(
    DirectoryLeaseOptions options) {
  RETURN_IF_ERROR(options.files->MakeDirectory(options.directory));
  std::unique_ptr<DirectoryLease> lease(new DirectoryLease(std::move(options)));
  const DirectoryLeaseOptions& own = lease->options_;
  LeaseWatch watch(own.lease_time);
  bool told = false;  // in the log, once
  while (true) {
    ASSIGN_OR_RETURN(const LeaseSighting seen, Look(own.files, own.directory));
    const LeaseWatch::Verdict verdict = watch.Judge(seen, own.clock->MonotonicNs());
    if (verdict == LeaseWatch::Verdict::kFree) {
      RETURN_IF_ERROR(CheckNewestIsThere(seen, own.directory));
      const uint64_t counted = seen.lease.has_value() ? seen.lease->counted_segment() : 0;
      if (own.before_taking != nullptr) {
        RETURN_IF_ERROR(own.before_taking(counted));
      }
      lease->NoteCounted(counted);
      ASSIGN_OR_RETURN(const bool taken, lease->TryTakeOver(seen.last_segment));
      if (taken) {
        spdlog::info("drives {} from {} on", own.directory, SegmentName(lease->first_segment_));
        return lease;
      }
    } else if (verdict == LeaseWatch::Verdict::kAlive && !own.wait) {
      return absl::AlreadyExistsError(absl::StrCat("directory ", own.directory, " is in use by ",
                                                   NameOf(seen.lease),
                                                   "; stop that one or use another directory"));
    } else if (verdict == LeaseWatch::Verdict::kAlive && !std::exchange(told, true)) {
      spdlog::info("standby: {} drives {}; waits until that one ends or is silent for {}",
                   NameOf(seen.lease), own.directory, absl::FormatDuration(own.lease_time));
    }
    if (verdict != LeaseWatch::Verdict::kFree && own.while_waiting != nullptr) {
      own.while_waiting();
    }
    const absl::Duration pause = own.lease_time / kLooks;
    if (!(own.pause != nullptr ? own.pause(pause) : Wait(own.stop, pause))) {
      return absl::CancelledError(
          absl::StrCat("stopped while ", NameOf(seen.lease), " drives ", own.directory));
    }
  }
}

// Takes the directory over. The draft of LEASE, which may fail for want of space, is written first:
// the segment that ends the old driver is created only when nothing else can fail.
absl::StatusOr<bool> DirectoryLease::TryTakeOver(uint64_t last_segment) {
  const int64_t now_ns = options_.clock->MonotonicNs();
  const uint64_t number = last_segment + 1;
  {
    absl::MutexLock lock(&mutex_);
    last_segment_ = number;
  }
  if (const absl::Status drafted = DraftLease(/*released=*/false); !drafted.ok()) {
    if (!options_.wait) {
      return drafted;
    }
    if (!std::exchange(told_of_draft_, true)) {
      spdlog::warn("standby: {} could be taken over, but: {}", options_.directory,
                   ToStd(drafted.message()));
    }
    return false;
  }
  MILLRACE_FAILPOINT("lease.before_taken");
  absl::StatusOr<std::unique_ptr<AppendFile>> file = CreateSegment(number);
  if (absl::IsAlreadyExists(file.status()) || absl::IsAborted(file.status())) {
    options_.files->Remove(draft_path_).IgnoreError();
    return false;  // another driver was faster
  }
  RETURN_IF_ERROR(file.status());
  RETURN_IF_ERROR(options_.files->SyncDirectory(options_.directory));
  first_segment_ = number;
  first_file_ = *std::move(file);
  {
    absl::MutexLock lock(&mutex_);
    confirmed_at_ns_ = now_ns;
  }
  PublishLease().IgnoreError();  // if it fails, the renewals write it again
  MILLRACE_FAILPOINT("lease.taken");
  RemoveLeftovers();
  if (options_.renew_in_background) {
    StartRenewing();
  }
  return true;
}

// Creates the segment with this number, and fails if the directory then has a higher one. A driver
// that slept while others made this segment and removed it again can create it a second time. But
// the highest segment is never removed, so then there is one above it.
absl::StatusOr<std::unique_ptr<AppendFile>> DirectoryLease::CreateSegment(uint64_t number) {
  ASSIGN_OR_RETURN(std::unique_ptr<AppendFile> file,
                   options_.files->Create(SegmentPath(options_.directory, number)));
  MILLRACE_FAILPOINT("journal.segment_created");
  ASSIGN_OR_RETURN(const uint64_t last, LastSegment(options_.files, options_.directory));
  if (last != number) {
    return absl::AbortedError(
        absl::StrCat(SegmentName(number), " was made by another driver before"));
  }
  return file;
}

// A number counts as this driver's only once its file is created. If it counted earlier, and a
// successor had made that segment, Confirm would not notice the successor.
absl::StatusOr<DirectoryLease::Segment> DirectoryLease::CreateNext() {
  Segment next;
  {
    absl::MutexLock lock(&mutex_);
    RETURN_IF_ERROR(lost_);
    next.number = last_segment_ + 1;
    creating_ = next.number;
  }
  absl::StatusOr<std::unique_ptr<AppendFile>> file = CreateSegment(next.number);
  {
    absl::MutexLock lock(&mutex_);
    creating_ = 0;
    if (file.ok()) {
      last_segment_ = next.number;
    }
  }
  if (absl::IsAlreadyExists(file.status()) || absl::IsAborted(file.status())) {
    return Lose();
  }
  RETURN_IF_ERROR(file.status());
  next.file = *std::move(file);
  RETURN_IF_ERROR(options_.files->SyncDirectory(options_.directory));
  return next;
}

// Looks for a successor. Its segment may have been made and removed again since; then the directory
// has a higher one, which CheckDirectory finds.
absl::Status DirectoryLease::Confirm() {
  uint64_t successor = 0;
  {
    absl::MutexLock lock(&mutex_);
    successor = last_segment_ + 1;
  }
  ASSIGN_OR_RETURN(const bool replaced,
                   SegmentExists(options_.files, options_.directory, successor));
  return replaced ? Lose() : CheckDirectory();
}

void DirectoryLease::NoteCounted(uint64_t segment) {
  absl::MutexLock lock(&mutex_);
  counted_segment_ = std::max(counted_segment_, segment);
}

bool DirectoryLease::Fresh() const {
  const int64_t now_ns = options_.clock->MonotonicNs();
  absl::MutexLock lock(&mutex_);
  return lost_.ok() && absl::Nanoseconds(now_ns - confirmed_at_ns_) < options_.lease_time;
}

absl::Status DirectoryLease::Renew() {
  RETURN_IF_ERROR(CheckDirectory());
  absl::MutexLock writing(&lease_file_mutex_);
  RETURN_IF_ERROR(DraftLease(/*released=*/false));
  MILLRACE_FAILPOINT("lease.before_renewed");
  RETURN_IF_ERROR(PublishLease());
  MILLRACE_FAILPOINT("lease.renewed");
  return absl::OkStatus();
}

void DirectoryLease::Release() {
  StopRenewing();
  if (!CheckDirectory().ok()) {
    return;
  }
  absl::MutexLock writing(&lease_file_mutex_);
  absl::Status written = DraftLease(/*released=*/true);
  if (written.ok()) {
    MILLRACE_FAILPOINT("lease.before_released");
    written = PublishLease();
    MILLRACE_FAILPOINT("lease.released");
  }
  if (!written.ok()) {
    spdlog::warn("the lease of {} was not released, the next driver waits for it to end: {}",
                 options_.directory, ToStd(written.message()));
  }
}

absl::Status DirectoryLease::CheckDirectory() {
  const int64_t now_ns = options_.clock->MonotonicNs();
  ASSIGN_OR_RETURN(const uint64_t last, LastSegment(options_.files, options_.directory));
  {
    absl::MutexLock lock(&mutex_);
    RETURN_IF_ERROR(lost_);
    // A driver whose own segment is gone has been replaced.
    if (last >= last_segment_ && last <= std::max(last_segment_, creating_)) {
      confirmed_at_ns_ = std::max(confirmed_at_ns_, now_ns);
      return absl::OkStatus();
    }
  }
  return Lose();
}

// Writes the draft of LEASE. It is not synced: if the machine crashes, the holder is dead, whatever
// the file says.
absl::Status DirectoryLease::DraftLease(bool released) {
  proto::Lease lease;
  DescribeThisProcess(&lease);
  lease.set_driver_id(options_.driver_id);
  lease.set_address(options_.address);
  lease.set_lease_ms(absl::ToInt64Milliseconds(options_.lease_time));
  lease.set_released(released);
  {
    absl::MutexLock lock(&mutex_);
    lease.set_segment(last_segment_);
    lease.set_counted_segment(counted_segment_);
    lease.set_counter(++counter_);
  }
  std::string text;
  google::protobuf::TextFormat::PrintToString(lease, &text);
  options_.files->Remove(draft_path_).IgnoreError();  // left by an attempt that failed half-way
  ASSIGN_OR_RETURN(const std::unique_ptr<AppendFile> file, options_.files->Create(draft_path_));
  absl::Status written = file->Append(text);
  if (written.ok()) {
    written = file->Close();
  }
  return written;
}

absl::Status DirectoryLease::PublishLease() {
  return options_.files->Rename(draft_path_, lease_path_);
}

// Removes drafts of drivers that died while they wrote one. Should one of them still live, it
// writes another draft.
void DirectoryLease::RemoveLeftovers() {
  const absl::StatusOr<std::vector<std::string>> names = options_.files->List(options_.directory);
  for (const std::string& name : names.ok() ? *names : std::vector<std::string>()) {
    if (absl::StartsWith(name, absl::StrCat(kLeaseName, "."))) {
      options_.files->Remove(absl::StrCat(options_.directory, "/", name)).IgnoreError();
    }
  }
}

absl::Status DirectoryLease::Lose() {
  absl::StatusOr<std::optional<proto::Lease>> lease = ReadLease(options_.files, lease_path_);
  if (!lease.ok() || (lease->has_value() && (*lease)->driver_id() == options_.driver_id)) {
    lease = std::optional<proto::Lease>();  // the new driver has not written LEASE yet
  }
  const absl::Status lost = absl::AbortedError(
      absl::StrCat(NameOf(*lease), " has taken over directory ", options_.directory,
                   "; this one acknowledges nothing any more"));
  {
    absl::MutexLock lock(&mutex_);
    if (!lost_.ok()) {
      return lost_;
    }
    lost_ = lost;
  }
  if (options_.on_lost != nullptr) {
    options_.on_lost(lost);
  }
  return lost;
}

void DirectoryLease::StartRenewing() {
  renewing_ = std::jthread([this](const std::stop_token& stop) {
    bool told = false;
    while (Wait(stop, options_.lease_time / kRenewals)) {
      const absl::Status renewed = Renew();
      if (absl::IsAborted(renewed)) {
        return;
      }
      if (!renewed.ok() && !std::exchange(told, true)) {
        spdlog::warn("the lease of {} cannot be renewed, so that a standby may take over: {}",
                     options_.directory, ToStd(renewed.message()));
      }
      told = told && !renewed.ok();
    }
  });
}

void DirectoryLease::StopRenewing() {
  if (renewing_.joinable()) {
    renewing_.request_stop();
    renewing_.join();
  }
}

}  // namespace millrace::driver
